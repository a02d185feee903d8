/** Reads the clocks of a guest from outside, and says between which times of the host each reading was made. */
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';

/** What a guest is to run to be read: a line of its two clocks for each line it gets, without a new process. */
export const READ_CLOCKS = {
  command: [
    'bash',
    '-c',
    'while read -r; do { read -r; read -r; read -r _ _ ns _; } < /proc/timer_list; echo "$ns $EPOCHREALTIME"; done',
  ],
  env: { LC_ALL: 'C', PATH: '/usr/bin:/bin' },
};

/** All in milliseconds: both clocks of the guest, and of the host before it was asked and after it answered. */
export interface Reading {
  monotonic: number;
  real: number;
  before: Times;
  after: Times;
}

interface Times {
  monotonic: number;
  real: number;
}

/** A difference that was measured: it lies somewhere between the two. */
export interface Between {
  least: number;
  most: number;
}

/** Gives what reads the clocks of the guest in which `process` runs READ_CLOCKS. `now` is the host's wall clock. */
export function clockReader(
  process: { stdin: Writable; stdout: Readable },
  now: () => number = Date.now,
): () => Promise<Reading> {
  const lines = createInterface({ input: process.stdout })[Symbol.asyncIterator]();
  const host = (): Times => ({ monotonic: performance.now(), real: now() });
  return async () => {
    const before = host();
    process.stdin.write('\n');
    const { value, done } = await lines.next();
    const after = host();
    const [ns, seconds] = String(value).split(' ').map(Number);
    if (done || !ns || !seconds) throw new Error(`a guest that was asked for its clocks said ${value}`);
    return { monotonic: ns / 1e6, real: seconds * 1000, before, after };
  };
}

/** By how many milliseconds the guest's wall clock is behind the host's. */
export const behind = ({ real, before, after }: Reading): Between => ({
  least: before.real - real,
  most: after.real - real,
});

/** By what part a clock of the guest ran faster than the host's from one reading to another. */
export function tooFast(clock: keyof Times, first: Reading, last: Reading): Between {
  const ran = last[clock] - first[clock];
  // The host's clock that nobody sets is the measure of both.
  const longest = last.after.monotonic - first.before.monotonic;
  const shortest = last.before.monotonic - first.after.monotonic;
  return { least: ran / longest - 1, most: ran / shortest - 1 };
}

/** The reading of the shortest way there and back out of those made while `more` says so, and one more. */
export async function bestReading(read: () => Promise<Reading>, more: () => boolean): Promise<Reading> {
  const took = ({ before, after }: Reading) => after.monotonic - before.monotonic;
  let best = await read();
  while (more()) {
    const next = await read();
    if (took(next) < took(best)) best = next;
  }
  return best;
}
