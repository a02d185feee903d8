/** Descriptors that whoever started this process had open and has not closed for it. */
import { closeSync, readdirSync, readFileSync } from 'node:fs';

const FIRST = 3;
/**
 * O_CLOEXEC, which Node gives to all that it opens, and at its start to what it finds open, as far as the first gap behind the 16th
 * (uv_disable_stdio_inheritance): what has it not was here before, and would be in all that this process starts.
 */
const CLOSES_ON_EXEC = 0o2000000;

/**
 * Closes those that a program would be started with, but for standard streams and `keep`: a process that lives on would have a lock
 * held, a pipe open and a file system busy for as long. To be called before anything is opened otherwise than by Node.
 */
export function closeInherited(keep: readonly number[] = []): void {
  for (const name of readdirSync('/proc/self/fd')) {
    const fd = Number(name);
    if (fd < FIRST || keep.includes(fd) || !isInherited(fd)) continue;
    closeSync(fd);
  }
}

function isInherited(fd: number): boolean {
  try {
    const flags = /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))?.[1];
    return flags !== undefined && (Number.parseInt(flags, 8) & CLOSES_ON_EXEC) === 0;
  } catch {
    // That by which the directory was read.
    return false;
  }
}
