/**
 * A file or a directory of this machine as a tar archive, its root called `.`. The path given is followed, links below it are
 * copied as links: everything below is opened from its directory, so that whoever changes the tree meanwhile leads nowhere else.
 */
import { constants, type Stats } from 'node:fs';
import { type FileHandle, lstat, open, readdir, readlink } from 'node:fs/promises';
import { asPolykernelError, PolykernelError } from '../../../sys/errors.ts';
import { BLOCK, type Entry, type EntryType, encodeEntry, padding } from './blocks.ts';

const PART = 256 * 1024;
const READ = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;
const NONE = Buffer.alloc(0);

/** @param leftOut told of what archives between machines have no use for. */
export async function* packTree(path: string, leftOut: (what: string) => void): AsyncGenerator<Buffer> {
  try {
    await using handle = await open(path, READ);
    const stats = await handle.stat();
    if (stats.isDirectory()) yield* packDirectory(handle, Buffer.from('.'), stats, leftOut);
    else if (stats.isFile()) yield* packFile(handle, Buffer.from('.'), stats);
    else
      throw new PolykernelError('invalid', `${path} is ${kindOf(stats)}`, {
        value: path,
        hint: 'Copy a file or a directory.',
      });
    yield Buffer.alloc(2 * BLOCK);
  } catch (error) {
    throw asPolykernelError(error, `reading ${path}`);
  }
}

/** What lies in the directory `handle`, by a path that leads nowhere else. */
export const inside = (handle: { fd: number }, name: Buffer): Buffer =>
  Buffer.concat([Buffer.from(`/proc/self/fd/${handle.fd}/`), name]);

async function* packDirectory(
  handle: FileHandle,
  member: Buffer,
  stats: Stats,
  leftOut: (what: string) => void,
): AsyncGenerator<Buffer> {
  const prefix = Buffer.concat([member, Buffer.from('/')]);
  yield encodeEntry(entryOf('directory', prefix, stats));
  for (const name of await readdir(inside(handle, NONE), { encoding: 'buffer' })) {
    const below = Buffer.concat([prefix, name]);
    const path = inside(handle, name);
    // What goes away meanwhile was not there.
    const found = await lstat(path).catch(ifGone);
    if (found === undefined) continue;
    if (found.isSymbolicLink()) {
      yield encodeEntry({ ...entryOf('link', below, found), link: await readlink(path, { encoding: 'buffer' }) });
    } else if (found.isDirectory() || found.isFile()) {
      await using opened = await open(path, READ | constants.O_NOFOLLOW);
      const now = await opened.stat();
      if (now.isDirectory()) yield* packDirectory(opened, below, now, leftOut);
      else if (now.isFile()) yield* packFile(opened, below, now);
    } else leftOut(`${below.subarray(2)} is ${kindOf(found)}: left out`);
  }
}

/** What the file has lost meanwhile is zeros; what it has gained is left out. */
async function* packFile(handle: FileHandle, member: Buffer, stats: Stats): AsyncGenerator<Buffer> {
  yield encodeEntry({ ...entryOf('file', member, stats), size: stats.size });
  for (let left = stats.size; left > 0; ) {
    const part = Buffer.allocUnsafe(Math.min(left, PART));
    const { bytesRead } = await handle.read(part, 0, part.length);
    yield bytesRead === 0 ? part.fill(0) : part.subarray(0, bytesRead);
    left -= bytesRead || part.length;
  }
  yield Buffer.alloc(padding(stats.size));
}

function entryOf(type: EntryType, name: Buffer, { mode, uid, gid, mtimeMs }: Stats): Entry {
  return { type, name, link: NONE, mode: mode & 0o7777, uid, gid, mtime: mtimeMs / 1000, size: 0 };
}

export function kindOf(stats: Stats): string {
  if (stats.isSocket()) return 'a socket';
  return stats.isFIFO() ? 'a FIFO' : 'a device';
}

function ifGone(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
}
