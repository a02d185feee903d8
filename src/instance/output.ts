/** From a detached workload's output to its log and to those who watch. */
import { finished, type Readable } from 'node:stream';
import { reuse } from '../sys/pieces.ts';

/** Where the output of workloads is kept. */
export interface WorkloadLog {
  /** Another run's output follows: a line that the one before has left without its end is ended. */
  begin(): void;
  /** Takes a piece of output, and keeps nothing of `chunk` itself. False when the writer is behind: wait for `drained`. */
  write(stream: 'out' | 'err', chunk: Buffer): boolean;
  drained(): Promise<void>;
}

export type Watcher = (stream: 'out' | 'err', chunk: Buffer) => void;

/**
 * Moves all of `source` into the log, at the log's pace. Resolves at its end, or when it had ended before; never rejects: where the log
 * or a watcher fails the source is given up. Without an iterator, which takes three kilobytes for as long as the workload runs.
 */
export function pump(
  source: Readable,
  stream: 'out' | 'err',
  log: WorkloadLog,
  watchers: ReadonlySet<Watcher>,
): Promise<void> {
  const giveUp = () => void source.destroy();
  source.on('data', (chunk: Buffer) => {
    try {
      for (const watcher of watchers) watcher(stream, chunk);
      const isInTime = log.write(stream, chunk);
      if (watchers.size === 0) reuse(chunk);
      if (isInTime) return;
      source.pause();
      log.drained().then(() => source.resume(), giveUp);
    } catch {
      giveUp();
    }
  });
  // How a guest was lost is told by its kernel's end.
  return new Promise((resolve) => {
    finished(source, () => resolve());
  });
}
