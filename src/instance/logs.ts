/** The output of an instance: what is kept of it, and what comes. */
import type { Clock } from '../sys/clock.ts';
import type { Following } from './log-file.ts';
import type { LogLine } from './log-line.ts';
import { readConsole, readLog } from './log-reader.ts';
import type { Entry } from './registry.ts';
import type { LogQuery } from './requests.ts';

const CONSOLE_POLL_MS = 200;

/** Follows, if asked to, until the instance has ended for good or `isGone`. `consoleLog`: path of its console's. */
export function logsOf(
  { instance, log }: Entry,
  query: LogQuery,
  { consoleLog, isGone, clock }: { consoleLog: string; isGone: () => boolean; clock: Clock },
  signal: AbortSignal,
): AsyncGenerator<LogLine> {
  const over = () => instance.state === 'exited' || instance.state === 'created' || isGone();
  if (query.source === 'console')
    return readConsole(consoleLog, query, { over, changed: (abort) => pause(clock, CONSOLE_POLL_MS, abort) }, signal);
  log.flush();
  const following: Following = {
    over,
    changed: (abort) =>
      new Promise((resolve) => {
        const finish = () => {
          log.off('flushed', finish).off('closed', finish);
          stopListening();
          abort.removeEventListener('abort', finish);
          resolve();
        };
        const stopListening = instance.onChange(finish);
        log.on('flushed', finish).on('closed', finish);
        abort.addEventListener('abort', finish, { once: true });
        // What came while it read was told to nobody: the last word above all.
        if (abort.aborted || over()) finish();
      }),
  };
  return readLog(log, query, following, signal);
}

/** Resolves after so long, or when `signal` is aborted. */
export function pause(clock: Clock, milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const finish = () => {
      cancel();
      signal?.removeEventListener('abort', finish);
      resolve();
    };
    const cancel = clock.after(milliseconds, finish);
    signal?.addEventListener('abort', finish, { once: true });
  });
}
