/** From a detached workload's output to its log and to those who watch. */
import type { Readable } from 'node:stream';

/** Where the output of workloads is kept. */
export interface WorkloadLog {
  /** Takes a piece of output. False when the writer is behind: wait for `drained`. */
  write(stream: 'out' | 'err', chunk: Buffer): boolean;
  drained(): Promise<void>;
}

export type Watcher = (stream: 'out' | 'err', chunk: Buffer) => void;

/**
 * Moves all of `source` into the log, at the log's pace. Resolves at its end; never rejects. Without an iterator, which takes three
 * kilobytes for as long as the workload runs.
 */
export function pump(
  source: Readable,
  stream: 'out' | 'err',
  log: WorkloadLog,
  watchers: ReadonlySet<Watcher>,
): Promise<void> {
  return new Promise((resolve) => {
    source.on('data', (chunk: Buffer) => {
      for (const watcher of watchers) watcher(stream, chunk);
      if (log.write(stream, chunk)) return;
      source.pause();
      void log.drained().then(() => source.resume());
    });
    // How a guest was lost is told by its kernel's end.
    source.on('error', () => {}).on('close', resolve);
  });
}
