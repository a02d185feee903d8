/** Of samples the figures of a report. Pure. */
import type { Sample } from './probe.ts';
import type { Figures } from './types.ts';

/** Pieces of the picture are so long, or longer where there would be too many. */
const PIECE_MS = 50;
const MOST_PIECES = 600;

export const doneMs = ({ dueMs, latencyUs }: Sample): number => dueMs + latencyUs / 1000;

/** Work is counted by when it was done, latency by when it was due: what the fault holds up is seen in both. */
export function figuresOf(samples: readonly Sample[], fromMs: number, toMs: number, heard: number): Figures {
  const within = (ms: number) => ms >= fromMs && ms < toMs;
  const done = samples.filter((sample) => within(doneMs(sample)));
  const latencies = samples.filter(({ dueMs, failed }) => !failed && within(dueMs)).map(({ latencyUs }) => latencyUs);
  latencies.sort((a, b) => a - b);
  return {
    seconds: Math.max(0, toMs - fromMs) / 1000,
    requests: done.length,
    errors: done.filter(({ failed }) => failed).length,
    p50Us: quantile(latencies, 0.5),
    p99Us: quantile(latencies, 0.99),
    worstUs: latencies.at(-1) ?? null,
    heard: Math.max(0, heard),
  };
}

/** The nearest rank, of sorted values. */
export const quantile = (sorted: readonly number[], share: number): number | null =>
  sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? null;

/** For a picture: median and worst of each piece of the time in which something was due. */
export function seriesOf(samples: readonly Sample[], fromMs: number, toMs: number): [number, number, number][] {
  const piece = Math.max(PIECE_MS, Math.ceil((toMs - fromMs) / MOST_PIECES));
  const pieces = new Map<number, number[]>();
  for (const { dueMs, latencyUs, failed } of samples) {
    if (failed || dueMs < fromMs || dueMs >= toMs) continue;
    const at = Math.floor((dueMs - fromMs) / piece) * piece;
    const latencies = pieces.get(at);
    if (latencies === undefined) pieces.set(at, [latencyUs]);
    else latencies.push(latencyUs);
  }
  return [...pieces]
    .sort(([a], [b]) => a - b)
    .map(([at, latencies]) => {
      latencies.sort((a, b) => a - b);
      return [at, quantile(latencies, 0.5)!, latencies.at(-1)!];
    });
}
