/** Processes by number and start time, which together name one for good; ending them, whatever they do about it. */
import { closeSync, openSync, readSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { PolykernelError } from '../sys/errors.ts';
import { processStartTime } from '../sys/process.ts';

const PATIENCE_MS = 5_000;
const POLL_MS = 5;
/** More than ours have before what they are known by. */
const COMMAND_LINE_BYTES = 64 * 1024;

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

/**
 * Command line of a process, as far as its first `most` bytes hold it: a process can give itself one of gigabytes. Empty when
 * there is no such process.
 */
export function commandLine(pid: number, most = COMMAND_LINE_BYTES): string[] {
  let file: number | undefined;
  try {
    file = openSync(`/proc/${pid}/cmdline`, 'r');
    const bytes = Buffer.allocUnsafe(most);
    let length = 0;
    for (let read = -1; read !== 0 && length < most; length += read)
      read = readSync(file, bytes, length, most - length, null);
    return bytes.toString('utf8', 0, length).split('\0');
  } catch {
    return [];
  } finally {
    if (file !== undefined) closeSync(file);
  }
}
