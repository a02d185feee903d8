/**
 * Reading files whose contents are hostile: at any offset, of any stated length, and never more than there is. What a
 * header claims is only a number until the bytes behind it were seen.
 */
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  read as readFile,
  readlinkSync,
  readSync,
  write as writeFile,
} from 'node:fs';
import { promisify } from 'node:util';
import { patienceWith } from './patience.ts';

const readAsync = promisify(readFile);
const writeAsync = promisify(writeFile);

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

/** Far beyond any file, and far enough from where numbers stop being exact that sums of some stay sound. */
const MOST = 2 ** 50;

/** A u64 of a record, little-endian, for use as a place or size in a file; above 2^50 it is cut to that. */
export function readWord(record: Buffer, at: number): number {
  return Math.min(Number(record.readBigUInt64LE(at)), MOST);
}

/** The NUL-terminated text at `offset`, of at most `most` bytes; undefined if it is longer or does not end before `end`. */
export function readText(read: ReadAt, offset: number, most: number, end: number): string | undefined {
  const bytes = end > offset ? read(offset, Math.min(most + 1, end - offset)) : undefined;
  const length = bytes?.indexOf(0) ?? -1;
  return length < 0 ? undefined : bytes!.toString('latin1', 0, length);
}

/**
 * Opens a regular file for reading; undefined if it is something else. Never waits, as opening a pipe that nobody writes
 * would. The caller closes it. Throws as open(2) does, which may be told more by `flags`.
 */
export function openRegular(path: string, flags = 0): number | undefined {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY | flags);
  if (fstatSync(fd).isFile()) return fd;
  closeSync(fd);
  return undefined;
}

/**
 * The bytes of an open file from `start` to before `end`, in pieces. Never closes it, as a stream over a descriptor does
 * when it is left early, whatever it was told. Ends early where the file does. Rejects as patiently() of patience.ts.
 */
export async function* readPieces(fd: number, start: number, end: number, size = 256 * 1024): AsyncGenerator<Buffer> {
  const patiently = patienceWith(readlinkSync(`/proc/self/fd/${fd}`));
  for (let at = start; at < end; ) {
    const buffer = Buffer.allocUnsafe(Math.min(size, end - at));
    const { bytesRead } = await patiently(() => readAsync(fd, buffer, 0, buffer.length, at));
    if (bytesRead === 0) return;
    at += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

/** Writes pieces one after the other to where an open file stands. Throws as write(2) does, or the reason of `signal`. */
export async function writePieces(
  fd: number,
  pieces: AsyncIterable<Buffer> | Iterable<Buffer>,
  signal?: AbortSignal,
): Promise<void> {
  for await (const piece of pieces) {
    signal?.throwIfAborted();
    for (let done = 0; done < piece.length; ) done += (await writeAsync(fd, piece.subarray(done))).bytesWritten;
  }
}
