/** How a source gets at other files: not at all, unless its reader is given this. */
import { closeSync, constants, fstatSync, openSync, readlinkSync, readSync, realpathSync } from 'node:fs';
import { dirname, join, resolve, sep } from 'node:path';
import { PolykernelError } from '../../sys/errors.ts';

/** Reads what /include/ and /incbin/ name. */
export interface SourceFiles {
  /**
   * The file that `name` means in the file `from`; undefined when there is none that may be read. Throws PolykernelError when
   * it cannot be read, or has more than `most` bytes.
   */
  read(name: string, from: string, most: number): { readonly path: string; readonly bytes: Uint8Array } | undefined;
}

/**
 * Files in and below `directories`, wherever links lead: searched as dtc does, first beside the file that names them, then in
 * each directory. Only regular files.
 */
export function filesBelow(directories: readonly string[]): SourceFiles {
  const roots = directories.map((directory) => realpathSync(resolve(directory)));
  const isBelow = (path: string) => roots.some((root) => path.startsWith(root === sep ? sep : root + sep));
  return {
    read(name, from, most) {
      for (const directory of [dirname(from), ...directories]) {
        const path = join(resolve(directory, name));
        const real = realPath(path);
        if (real === undefined || !isBelow(real)) continue;
        return { path: name.startsWith(sep) ? name : join(directory, name), bytes: readRegular(real, most, isBelow) };
      }
      return undefined;
    },
  };
}

function realPath(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
}

/**
 * All of a regular file of at most so many bytes, when `isAllowed` says so of where it is once it is open: somebody may have
 * put a link in its place. Neither FIFOs nor devices are read, which could wait or have no end. Throws `not-found` and `invalid`.
 */
export function readRegular(path: string, most: number, isAllowed = (_: string) => true): Uint8Array {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'there is no such file' : 'it cannot be opened';
    throw new PolykernelError('not-found', `${path}: ${reason}`, { field: 'file', value: path, cause: error });
  }
  try {
    const found = fstatSync(fd);
    const problem = !found.isFile()
      ? 'not a regular file'
      : !isAllowed(readlinkSync(`/proc/self/fd/${fd}`))
        ? 'no longer where it was'
        : found.size > most
          ? `larger than ${most} bytes`
          : undefined;
    if (problem !== undefined)
      throw new PolykernelError('invalid', `${path} is ${problem}`, { field: 'file', value: path });
    const bytes = new Uint8Array(found.size);
    let length = 0;
    for (let read = -1; read !== 0 && length < bytes.length; length += read)
      read = readSync(fd, bytes, length, bytes.length - length, null);
    return bytes.subarray(0, length);
  } finally {
    closeSync(fd);
  }
}
