/** Measuring processes by the wall clock, so that all measures see the same machine. */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { median } from './row.ts';

/** Wall time in ms of one process from spawn to its end; throws when it fails. */
export async function timeProcess(argv: readonly string[], options: SpawnOptions = {}): Promise<number> {
  const began = performance.now();
  const child = spawn(argv[0]!, argv.slice(1), { stdio: 'ignore', ...options });
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error(`${argv.join(' ')} ended with ${code}`);
  return performance.now() - began;
}

/**
 * Takes the measures in turn, round by round, so that a slow moment of the machine falls on all of them, and gives the
 * median of each. A first round warms caches and is not counted.
 */
export async function interleaved<Name extends string>(
  rounds: number,
  measures: Record<Name, () => Promise<number>>,
): Promise<Record<Name, number>> {
  const seen = {} as Record<Name, number[]>;
  for (let round = -1; round < rounds; round++) {
    for (const name of Object.keys(measures) as Name[]) {
      const value = await measures[name]();
      if (round >= 0) seen[name] = [...(seen[name] ?? []), value];
    }
  }
  return Object.fromEntries(Object.entries<number[]>(seen).map(([name, values]) => [name, median(values)])) as Record<
    Name,
    number
  >;
}

/** Resolves when `child`'s stream first says something containing `text`; rejects when it ends before. */
export function said(child: ChildProcess, stream: NodeJS.ReadableStream, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let heard = '';
    stream.on('data', (chunk: Buffer) => {
      heard = (heard + chunk.toString('latin1')).slice(-65_536);
      if (heard.includes(text)) resolve();
    });
    child.once('exit', (code, signal) =>
      reject(new Error(`ended (${code ?? signal}) before it said ${text}: ${heard.slice(-500)}`)),
    );
  });
}
