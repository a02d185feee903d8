/** Files that get their name, or the place of another, once they are whole: what breaks off leaves nothing, and what is killed nothing for the next copy. */
import { closeSync, constants, openSync, renameSync, rmSync, type Stats } from 'node:fs';
import { type FileHandle, open, realpath } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { asPolykernelError } from '../../../sys/errors.ts';
import type { Entry } from './blocks.ts';
import { inside } from './pack.ts';
import { partialName, removeAbandoned } from './partial.ts';

const { O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_TRUNC, O_DIRECTORY, O_NOFOLLOW, O_NOCTTY } = constants;

/** Of which a file has one or a hole. */
const BLOCK_BYTES = 4096;
const ZEROS = Buffer.alloc(BLOCK_BYTES);

/** Makes the file `name` in the directory `fd`, of what `write` puts in it. Gives what `write` does. */
export async function landFile<T>(
  fd: number,
  name: Buffer,
  mode: number,
  write: (file: FileHandle) => Promise<T>,
): Promise<T> {
  const partial = inside({ fd }, partialName());
  await using file = await open(partial, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
  try {
    const written = await write(file);
    await moveOver(file, partial, inside({ fd }, name));
    return written;
  } catch (error) {
    rmSync(partial, { force: true });
    throw error;
  }
}

async function moveOver(file: FileHandle, partial: Buffer, place: Buffer): Promise<void> {
  try {
    renameSync(partial, place);
  } catch (error) {
    // Something is mounted on it: it can be filled alone. Whoever else may write to the directory may have exchanged both names.
    if ((error as NodeJS.ErrnoException).code !== 'EBUSY') throw error;
    await using into = await open(place, O_WRONLY | O_TRUNC | O_NOFOLLOW | O_NOCTTY);
    for await (const part of file.createReadStream({ start: 0, autoClose: false })) await into.writeFile(part);
    rmSync(partial);
  }
}

/** The content, owner and time of `entry`; gives what the file is now. */
export async function fill(
  file: FileHandle,
  entry: Entry,
  content: AsyncIterable<Buffer>,
  keepsOwners: boolean,
): Promise<Stats> {
  if ((await file.stat()).isFile()) await writeSparsely(file, content);
  else for await (const part of content) await file.writeFile(part);
  const stats = await file.stat();
  if (!stats.isFile()) return stats;
  if (keepsOwners) await file.chown(entry.uid, entry.gid);
  if (keepsOwners) await file.chmod(entry.mode & 0o1777);
  await file.utimes(Date.now() / 1000, timeOf(entry));
  return stats;
}

/** Of a number below zero Node makes the present. */
export const timeOf = (entry: Entry): string => `${entry.mtime}`;

/** Into a file that is empty: a block of nothing but zeros takes no room in it. */
async function writeSparsely(file: FileHandle, content: AsyncIterable<Buffer>): Promise<void> {
  let size = 0;
  for await (const part of content) {
    for (const [begin, end] of written(part, size))
      for (let done = begin; done < end; ) done += (await file.write(part, done, end - done, size + done)).bytesWritten;
    size += part.length;
  }
  await file.truncate(size);
}

/** Where what lies at `offset` of a file has blocks that hold something. */
function* written(part: Buffer, offset: number): Generator<[begin: number, end: number]> {
  let begin = -1;
  for (let at = 0, next: number; at < part.length; at = next) {
    next = Math.min(part.length, at + BLOCK_BYTES - ((offset + at) % BLOCK_BYTES));
    const isHole = part.subarray(at, next).equals(ZEROS.subarray(0, next - at));
    if (isHole && begin >= 0) yield [begin, at];
    if (isHole) begin = -1;
    else if (begin < 0) begin = at;
  }
  if (begin >= 0) yield [begin, part.length];
}

/** The file that the user has named, and what it leads to if it is a link: it keeps its mode, and its owner unless `keepsOwners`. */
export async function replaceFile(
  path: string,
  was: Stats,
  entry: Entry,
  content: AsyncIterable<Buffer>,
  keepsOwners: boolean,
): Promise<void> {
  try {
    if (was.isFile() && was.nlink === 1 && (await isReplaced(path, was, entry, content, keepsOwners))) return;
    // Its other names are to be of the same file still, a device takes what it is given.
    await using file = await open(path, O_WRONLY | O_TRUNC | O_NOCTTY);
    await fill(file, entry, content, keepsOwners);
  } catch (error) {
    throw asPolykernelError(error, `writing ${path}`);
  }
}

/** False, with nothing read of `content`: the directory or the owner does not allow it. */
async function isReplaced(
  path: string,
  was: Stats,
  entry: Entry,
  content: AsyncIterable<Buffer>,
  keepsOwners: boolean,
): Promise<boolean> {
  const real = await realpath(path);
  const fd = openSync(dirname(real), O_RDONLY | O_DIRECTORY);
  let isBegun = false;
  removeAbandoned(fd);
  try {
    await landFile(fd, Buffer.from(basename(real)), was.mode & 0o1777, async (file) => {
      await file.chown(was.uid, was.gid);
      await file.chmod(was.mode & 0o1777);
      isBegun = true;
      await fill(file, entry, content, keepsOwners);
    });
    return true;
  } catch (error) {
    if (isBegun || !['EACCES', 'EPERM', 'EROFS'].includes((error as NodeJS.ErrnoException).code!)) throw error;
    return false;
  } finally {
    closeSync(fd);
  }
}
