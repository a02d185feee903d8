/** Processes by number and start time, which together name one for good; ending them, whatever they do about it. */
import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { PolykernelError } from '../sys/errors.ts';
import { processStartTime } from '../sys/process.ts';

const PATIENCE_MS = 5_000;
const POLL_MS = 5;

export interface ProcessId {
  pid: number;
  /** Clock ticks since the host booted, as processStartTime() has it. */
  startTime: number;
}

export const isAlive = ({ pid, startTime }: ProcessId): boolean => processStartTime(pid) === startTime;

/** Sends a signal, unless the process is gone. Throws `permission` for one of another user. */
export function signalProcess(id: ProcessId, signal: NodeJS.Signals): void {
  if (!isAlive(id)) return;
  try {
    process.kill(id.pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return;
    throw new PolykernelError('permission', `process ${id.pid} cannot be ended: it runs as another user`, {
      value: id.pid,
      cause: error,
    });
  }
}

/**
 * Ends all that `find` finds, with SIGTERM and after a while with SIGKILL; resolves when they are gone and it finds no other.
 * Rejects with `internal` when one survives that, naming `what` it is.
 */
export async function endProcesses(
  find: () => readonly ProcessId[],
  what: string,
  patienceMs = PATIENCE_MS,
): Promise<void> {
  const seen = new Map<number, ProcessId>();
  // One that is ending loses its command line, and so cannot be found, before its files and ports are free.
  const left = () => {
    for (const id of find()) seen.set(id.pid, id);
    return [...seen.values()].filter(isAlive);
  };
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    for (const id of left()) signalProcess(id, signal);
    const deadline = performance.now() + patienceMs;
    while (left().length > 0 && performance.now() < deadline) await pause(POLL_MS);
  }
  const [survivor] = left();
  if (survivor === undefined) return;
  throw new PolykernelError('internal', `${what} (process ${survivor.pid}) does not end`, {
    value: survivor.pid,
    hint: `Look at /proc/${survivor.pid}/status: a process in state D waits for the host's hardware.`,
  });
}

/** Command line of a process; empty when there is no such process. */
export function commandLine(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch {
    return [];
  }
}
