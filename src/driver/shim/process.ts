/** Which process is the shim of a launch directory, and whether anything of the launch still runs. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { findProcess } from '../../core/background.ts';
import { commandLine, isAlive, type ProcessId } from '../../core/process-id.ts';
import { processStartTime } from '../../sys/process.ts';
import { readSmallFile } from '../../sys/small-file.ts';
import { NotGone } from '../driver.ts';
import { jailLeft } from './fence.ts';

export const SHIM_PID_FILE = 'shim.pid';
const POLL_MS = 5;
const PROOF_AGAIN_MS = 1_000;
/** Of a jail with many volumes: the host's kernel starts no program with more (a quarter of a stack of 8 MiB). */
const JAIL_COMMAND_BYTES = 2 ** 21;
/** Ids above those that systemd gives to containers and users; kernels of root's daemons have theirs there. */
const FIRST_KERNEL_ID = 0x7000_0000;

/** The shim of a directory, but only if the process that has its pid now is certainly that very process. */
export function readShimProcess(directory: string): ProcessId | undefined {
  return findProcess(join(directory, SHIM_PID_FILE), directory);
}

/**
 * Resolves when the shim is gone, and the jail's first process, and no process names the directory on its command line, as the
 * outer processes of a jail do. Rejects with NotGone after the deadline.
 */
export function untilGone(directory: string, shim: ProcessId | undefined, deadlineMs: number): Promise<void> {
  const left = () =>
    shim !== undefined && isAlive(shim) ? shim.pid : (jailLeft(directory) ?? processesNaming(directory)[0]);
  return untilNone(left, directory, deadlineMs);
}

/**
 * Resolves when the shim is gone, which has told that its program ended and does so a moment later, and the jail's first process.
 * Rejects as untilGone().
 */
export function untilEnded(directory: string, deadlineMs: number): Promise<void> {
  return untilNone(() => readShimProcess(directory)?.pid ?? jailLeft(directory), directory, deadlineMs);
}

/** Repeats `prove` until it does not reject: what stands in its way goes to `onStuck`. Gives up when `signal` says so, and resolves. */
export async function untilProven(
  prove: () => Promise<void>,
  onStuck: (message: string) => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  while (signal?.aborted !== true) {
    try {
      return await prove();
    } catch (error) {
      onStuck((error as Error).message);
      await delay(PROOF_AGAIN_MS, undefined, { signal }).catch(() => {});
    }
  }
}

async function untilNone(find: () => number | undefined, directory: string, deadlineMs: number): Promise<void> {
  const deadline = performance.now() + deadlineMs;
  for (;;) {
    const left = find();
    if (left === undefined) return;
    if (performance.now() > deadline) {
      throw new NotGone(`process ${left} of ${directory} does not die`, {
        value: left,
        hint: `Look at /proc/${left}/status and /proc/${left}/cgroup: in state D it waits for the host's hardware, or somebody has frozen it or what is below it.`,
      });
    }
    await delay(POLL_MS);
  }
}

/** Shims and jails of a directory. Other programs may name it too (an editor, a shell): only these are ours. */
function processesNaming(directory: string): number[] {
  return ours(/(?:^|\/)(?:pk-shim|pk-cell|bwrap)$/).filter((pid) =>
    commandLine(pid, JAIL_COMMAND_BYTES).includes(directory),
  );
}

/** Processes of these programs that have an argument which begins with `prefix`. */
export function oursNaming(prefix: string, programs: RegExp): ProcessId[] {
  return ours(programs).flatMap((pid) => {
    const startTime = processStartTime(pid);
    const isNamed = commandLine(pid, JAIL_COMMAND_BYTES).some((argument) => argument.startsWith(prefix));
    return startTime !== undefined && isNamed ? [{ pid, startTime }] : [];
  });
}

function ours(programs: RegExp): number[] {
  const all = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return all.map(Number).filter((pid) => mayBeOurs(pid) && programs.test(commandLine(pid)[0] ?? ''));
}

/**
 * Anybody can have such a command line: it is to be of this user, or of the ids that root gives its kernels. And not of the
 * inside of a jail, which has other process numbers there: who reads the command line of such a one waits as long as it likes.
 */
function mayBeOurs(pid: number): boolean {
  const status = readSmallFile(`/proc/${pid}/status`) ?? '';
  const uid = Number(/^Uid:\t(\d+)/m.exec(status)?.[1]);
  const own = process.getuid?.();
  return (uid === own || (own === 0 && uid >= FIRST_KERNEL_ID)) && !/^NSpid:\t\d+\t/m.test(status);
}
