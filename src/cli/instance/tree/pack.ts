/**
 * A file or a directory of this machine as a tar archive, its root called `.`. The path given is followed, links below it are
 * copied as links: everything below is opened from its directory, so that whoever changes the tree meanwhile leads nowhere else.
 * Further names of a file are hard links to its first, of as many files as are remembered.
 */
import { constants, type Stats } from 'node:fs';
import { type FileHandle, lstat, open, readdir, readlink, statfs } from 'node:fs/promises';
import { asPolykernelError, PolykernelError } from '../../../sys/errors.ts';
import { plainLine } from '../../../sys/text.ts';
import { BLOCK, type Entry, type EntryType, encodeEntry, padding } from './blocks.ts';

const PART = 256 * 1024;
/** Most of a file that does not say how long it is, as those of procfs, or says more than it has, as those of sysfs. */
const SMALL = 1024 * 1024;
const MOST_FIRSTS = 16_384;
const [PROC, SYSFS] = [0x9fa0, 0x62656572];
const READ = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;
const NONE = Buffer.alloc(0);

interface Packing {
  /** As it was given, without slashes at its end. */
  path: string;
  leftOut: (what: string) => void;
  /** The names of files that have several, by device and number. */
  firsts: Map<string, Buffer>;
}

/** @param leftOut told of what archives between machines have no use for. */
export async function* packTree(path: string, leftOut: (what: string) => void): AsyncGenerator<Buffer> {
  const packing = { path: path.replace(/(?<=.)\/+$/, ''), leftOut, firsts: new Map() };
  try {
    await using handle = await open(path, READ);
    const stats = await handle.stat();
    if (stats.isDirectory()) yield* packDirectory(handle, Buffer.from('.'), stats, packing);
    else if (stats.isFile()) yield* packFile(handle, Buffer.from('.'), stats, packing);
    else
      throw new PolykernelError('invalid', `${path} is ${kindOf(stats)}, and no file or directory`, {
        value: path,
        hint: `What it gives goes through a pipe: head -c 1M ${path} | pk exec -i NAME sh -c 'cat > FILE'`,
      });
    yield Buffer.alloc(2 * BLOCK);
  } catch (error) {
    throw asPolykernelError(error, `reading ${path}`);
  }
}

/** A member as it is told, without its `./`: a name of several lines could tell something else. */
const line = (member: Buffer): string => plainLine(member.toString().replace(/^\.\//, ''));

/** What lies in the directory `handle`, by a path that leads nowhere else. */
export const inside = (handle: { fd: number }, name: Buffer): Buffer =>
  Buffer.concat([Buffer.from(`/proc/self/fd/${handle.fd}/`), name]);

async function* packDirectory(
  handle: FileHandle,
  member: Buffer,
  stats: Stats,
  packing: Packing,
): AsyncGenerator<Buffer> {
  const prefix = Buffer.concat([member, Buffer.from('/')]);
  yield encodeEntry(entryOf('directory', prefix, stats));
  for (const name of await readdir(inside(handle, NONE), { encoding: 'buffer' })) {
    const below = Buffer.concat([prefix, name]);
    try {
      yield* packMember(handle, name, below, packing);
    } catch (error) {
      throw asPolykernelError(error, `reading ${packing.path}/${line(below)}`);
    }
  }
}

async function* packMember(
  directory: FileHandle,
  name: Buffer,
  member: Buffer,
  packing: Packing,
): AsyncGenerator<Buffer> {
  const path = inside(directory, name);
  // What goes away meanwhile was not there.
  const found = await lstat(path).catch(ifGone);
  if (found === undefined) return;
  if (found.isSymbolicLink()) {
    yield encodeEntry({ ...entryOf('link', member, found), link: await readlink(path, { encoding: 'buffer' }) });
  } else if (found.isDirectory() || found.isFile()) {
    await using opened = await open(path, READ | constants.O_NOFOLLOW);
    const now = await opened.stat();
    if (now.isDirectory()) yield* packDirectory(opened, member, now, packing);
    else if (now.isFile()) yield* packFile(opened, member, now, packing);
  } else packing.leftOut(`${line(member)} is ${kindOf(found)}: left out`);
}

async function* packFile(
  handle: FileHandle,
  member: Buffer,
  stats: Stats,
  { firsts }: Packing,
): AsyncGenerator<Buffer> {
  const entry = entryOf('file', member, stats);
  if (stats.nlink > 1) {
    // Numbers of files are wider than those of JavaScript.
    const { dev, ino } = await handle.stat({ bigint: true });
    const key = `${dev}:${ino}`;
    const first = firsts.get(key);
    if (first !== undefined) return yield encodeEntry({ ...entry, type: 'hard', link: first });
    if (firsts.size < MOST_FIRSTS) firsts.set(key, member);
  }
  const isLarge = stats.size > SMALL && !(await isView(handle));
  if (isLarge) return yield* large(handle, entry, stats.size);
  const parts: Buffer[] = [];
  const most = Math.min(stats.size || SMALL, SMALL);
  let size = 0;
  for (let isEnd = false; !isEnd && size < most; ) {
    const part = Buffer.allocUnsafe(Math.min(most - size, PART));
    const bytesRead = await readSome(handle, part);
    parts.push(part.subarray(0, bytesRead));
    size += bytesRead;
    isEnd = bytesRead === 0;
  }
  if (size === SMALL && stats.size !== SMALL)
    throw new PolykernelError('invalid', `${line(member)} says not how long it is, and has more than 1 MiB`, {
      hint: "Copy as much of it as you need: head -c 10M FILE | pk exec -i NAME sh -c 'cat > FILE'",
    });
  yield encodeEntry({ ...entry, size });
  yield* parts;
  yield Buffer.alloc(padding(size));
}

/** What the file has lost meanwhile is zeros; what it has gained is left out. */
async function* large(handle: FileHandle, entry: Entry, size: number): AsyncGenerator<Buffer> {
  yield encodeEntry({ ...entry, size });
  for (let left = size; left > 0; ) {
    const part = Buffer.allocUnsafe(Math.min(left, PART));
    const bytesRead = await readSome(handle, part);
    yield bytesRead === 0 ? part.fill(0) : part.subarray(0, bytesRead);
    left -= bytesRead || part.length;
  }
  yield Buffer.alloc(padding(size));
}

/** 0 also where there is nothing now. */
async function readSome(handle: FileHandle, into: Buffer): Promise<number> {
  try {
    return (await handle.read(into, 0, into.length)).bytesRead;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return 0;
    throw error;
  }
}

/** Whether the kernel makes it up, as /proc/kcore, which says that it is as long as the address space. */
async function isView(handle: FileHandle): Promise<boolean> {
  const { type } = await statfs(`/proc/self/fd/${handle.fd}`);
  return type === PROC || type === SYSFS;
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
