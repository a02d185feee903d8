/**
 * The fence: whether all of a jail is proven to be gone. Its first process has the process namespace: the host kernel lets it end
 * after all others in there alone, also when it was killed. So what became of that one is the proof. A shim or an outer process that
 * ended is none: with control groups of version 1 a frozen VMM stays, with all its memory and files, whatever is sent to it.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isAlive, type ProcessId, signalProcess } from '../../core/process-id.ts';
import { processStartTime } from '../../sys/process.ts';
import { readSmallFile } from '../../sys/small-file.ts';

/** `PID START_TIME` of the jail's first process. */
const FILE = 'jail.pid';

/** Writes down, once, which the first process of the jail is; `shim`: under which it is to be found. Never throws. */
export function noteJail(directory: string, shim: number | undefined): void {
  const path = join(directory, FILE);
  if (shim === undefined || read(path) !== undefined) return;
  const first = firstOfJail(shim);
  if (first === undefined) return;
  try {
    writeFileSync(path, `${first.pid} ${first.startTime}\n`, { mode: 0o600 });
  } catch {
    // A full disk, or a directory that is gone: the command lines of the jail's processes are looked for all the same.
  }
}

/** The first process of the jail of a launch, while it lives; undefined when it is gone, or was never known. */
export function jailLeft(directory: string): number | undefined {
  const first = read(join(directory, FILE));
  return first !== undefined && isAlive(first) ? first.pid : undefined;
}

/** Ends the jail of a launch by itself: its shim may be kept in the host's kernel, as by a file that its VMM has it free. Throws as signalProcess(). */
export function killJail(directory: string): void {
  const first = read(join(directory, FILE));
  if (first !== undefined) signalProcess(first, 'SIGKILL');
}

function read(path: string): ProcessId | undefined {
  try {
    const match = /^([1-9]\d{0,9}) (\d{1,15})\n$/.exec(readFileSync(path, 'latin1'));
    return match === null ? undefined : { pid: Number(match[1]), startTime: Number(match[2]) };
  } catch {
    return undefined;
  }
}

/** Below the shim are the jail's outer process and, in namespaces of its own, its first one: no more are looked at. */
function firstOfJail(shim: number): ProcessId | undefined {
  const outer = childrenOf(shim);
  for (const pid of [...outer, ...outer.flatMap(childrenOf)]) {
    const startTime = processStartTime(pid);
    const status = readSmallFile(`/proc/${pid}/status`) ?? '';
    if (startTime !== undefined && /^NSpid:\t.*\t1$/m.test(status)) return { pid, startTime };
  }
  return undefined;
}

const childrenOf = (pid: number): number[] =>
  (readSmallFile(`/proc/${pid}/task/${pid}/children`) ?? '').split(' ').filter(Boolean).map(Number);
