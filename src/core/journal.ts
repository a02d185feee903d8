/** The daemon's own log: one JSON object per line in <home>/daemon.log, rotated. */
import type { Clock } from '../sys/clock.ts';
import { plainJson } from '../sys/text.ts';
import { RotatingFile } from './rotate.ts';

const JOURNAL_BYTES = 4 * 1024 * 1024;

export interface Journal {
  info(message: string, detail?: Record<string, unknown>): void;
  /** `error` may be anything thrown; its stack is kept here and nowhere else. */
  error(message: string, error?: unknown): void;
  close(): void;
}

export function openJournal(path: string, clock: Clock): Journal {
  const line = (level: string, message: string, detail: object = {}) =>
    // What guests and tools said is in it: a terminal may be shown the file.
    Buffer.from(
      plainJson(`${JSON.stringify({ time: new Date(clock.now()).toISOString(), level, message, ...detail })}\n`),
    );
  const file = new RotatingFile({
    path,
    maxBytes: JOURNAL_BYTES,
    describeDrop: (dropped) => line('error', `${dropped} lines of this log were lost: it could not be written`),
  });
  return {
    info: (message, detail) => file.append(line('info', message, detail)),
    error(message, error) {
      const detail = error instanceof Error ? { reason: error.message, stack: error.stack } : { reason: error };
      file.append(line('error', message, detail));
    },
    close: () => file.close(),
  };
}

/** For tests and embedding. */
export const silentJournal: Journal = { info: () => {}, error: () => {}, close: () => {} };
