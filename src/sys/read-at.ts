/**
 * Reading files whose contents are hostile: at any offset, of any stated length, and never more than there is. What a
 * header claims is only a number until the bytes behind it were seen.
 */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';

/** Reads exactly `length` bytes at `offset`, or undefined if the file is shorter or either is no sound number. */
export type ReadAt = (offset: number, length: number) => Buffer | undefined;

/** Most bytes of one read: above the largest record of any format read here, a block of LZ4. */
export const MAX_READ_BYTES = 16 * 1024 * 1024;

/** Reader of an open file. */
export function readerOf(fd: number): ReadAt {
  const { size } = fstatSync(fd);
  return (offset, length) => {
    if (!isInside(offset, length, size)) return undefined;
    const buffer = Buffer.alloc(length);
    return readSync(fd, buffer, 0, length, offset) === length ? buffer : undefined;
  };
}

/** Reader of bytes in memory. */
export function readerOfBuffer(bytes: Buffer): ReadAt {
  return (offset, length) =>
    isInside(offset, length, bytes.length) ? bytes.subarray(offset, offset + length) : undefined;
}

function isInside(offset: number, length: number, size: number): boolean {
  const sound = Number.isSafeInteger(offset) && offset >= 0 && Number.isSafeInteger(length) && length >= 0;
  return sound && length <= MAX_READ_BYTES && offset + length <= size;
}

/** The NUL-terminated text at `offset`, of at most `most` bytes; undefined if it is cut short or longer. */
export function readText(read: ReadAt, offset: number, most: number, end: number): string | undefined {
  const bytes = read(offset, Math.min(most + 1, end - offset));
  const length = bytes?.indexOf(0) ?? -1;
  return length < 0 ? undefined : bytes!.toString('latin1', 0, length);
}

/**
 * Opens a regular file for reading; undefined if it is something else. Never waits, as opening a pipe that nobody writes
 * would. The caller closes it. Throws as open(2) does.
 */
export function openRegular(path: string): number | undefined {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  if (fstatSync(fd).isFile()) return fd;
  closeSync(fd);
  return undefined;
}
