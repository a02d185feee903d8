/**
 * Unpacks an archive that a guest has made, which may be hostile: on this machine nothing but what the user has named is written.
 * No entry follows a link, of the archive's own or one that was there; `..`, hard links, devices and set-id bits are not made.
 */
import { closeSync, constants, lstatSync, mkdirSync, openSync, rmSync, symlinkSync } from 'node:fs';
import { type FileHandle, lchown, open, stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { asPolykernelError, PolykernelError } from '../../../sys/errors.ts';
import { Entries, type Entry } from './blocks.ts';
import { inside } from './pack.ts';

export interface UnpackOptions {
  /** What it is called where `path` is a directory; empty: what is in it goes in there. */
  name: string;
  /** Owners are the guest's numbers; else who copies. */
  keepsOwners: boolean;
  leftOut: (what: string) => void;
}

const { O_RDONLY, O_WRONLY, O_CREAT, O_EXCL, O_TRUNC, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_NOCTTY } = constants;
const ROOT = Buffer.from('.');

/** Throws `protocol` for an archive that the agent did not make so, and what the file system has against it. */
export async function unpackTree(archive: AsyncIterable<Buffer>, path: string, options: UnpackOptions): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  const isThere = found?.isDirectory() ?? false;
  const entries = new Entries(archive);
  const first = await entries.next();
  if (first?.type === 'file' && !isThere && path.endsWith('/'))
    throw new PolykernelError('not-found', `there is no directory ${path}`, { value: path });
  if (first?.type === 'file' && isRoot(first.name) && found !== undefined && !isThere)
    return replace(path, first, entries, options);
  if (found !== undefined && !isThere) throw new PolykernelError('invalid', `${path} is no directory`, { value: path });
  const base = isThere ? path : dirname(path.replace(/\/+$/, ''));
  using tree = new Tree(base, isThere ? options.name : basename(path), options);
  for (let entry = first; entry !== undefined; entry = await entries.next()) await tree.put(entry, entries);
}

/** The file that the user has named, and what it leads to if it is a link. */
async function replace(path: string, entry: Entry, entries: Entries, options: UnpackOptions): Promise<void> {
  try {
    await using file = await open(path, O_WRONLY | O_TRUNC | O_NOCTTY);
    await fill(file, entry, entries, options);
  } catch (error) {
    throw asPolykernelError(error, `writing ${path}`);
  }
  await entries.next();
}

async function fill(file: FileHandle, entry: Entry, entries: Entries, { keepsOwners }: UnpackOptions): Promise<void> {
  for await (const part of entries.content()) await file.writeFile(part);
  if (!(await file.stat()).isFile()) return;
  if (keepsOwners) await file.chown(entry.uid, entry.gid);
  if (keepsOwners) await file.chmod(entry.mode & 0o777);
  await file.utimes(Date.now() / 1000, entry.mtime);
}

const isRoot = (name: Buffer): boolean => partsOf(name).length === 0;

/** The names on the way, each a Buffer. Throws `protocol` for one that leads up. */
function partsOf(name: Buffer): Buffer[] {
  const parts: Buffer[] = [];
  for (let at = 0; at <= name.length; ) {
    const slash = name.indexOf(0x2f, at);
    const part = name.subarray(at, slash < 0 ? name.length : slash);
    at += part.length + 1;
    if (part.length === 0 || part.equals(ROOT)) continue;
    if (part.toString('latin1') === '..')
      throw new PolykernelError('protocol', `the archive from the guest has the name ${name}, which leads up`);
    parts.push(part);
  }
  return parts;
}

/** A directory of this machine, below which everything is opened one name after the other. */
class Tree implements Disposable {
  readonly #options: UnpackOptions;
  readonly #shown: string;
  readonly #base: number;
  readonly #prefix: Buffer[];
  /** The directory that was needed last, and the way to it. */
  #last: { way: Buffer; fd: number } | undefined;

  constructor(base: string, prefix: string, options: UnpackOptions) {
    this.#options = options;
    this.#shown = base;
    this.#prefix = prefix === '' ? [] : [Buffer.from(prefix)];
    try {
      this.#base = openSync(base, O_RDONLY | O_DIRECTORY);
    } catch (error) {
      throw asPolykernelError(error, `writing in ${base}`);
    }
  }

  async put(entry: Entry, entries: Entries): Promise<void> {
    const parts = [...this.#prefix, ...partsOf(entry.name)];
    const name = parts.pop();
    const shown = () =>
      `${this.#shown}/${Buffer.concat([...parts, name ?? ROOT].flatMap((part) => [part, Buffer.from('/')])).subarray(0, -1)}`;
    try {
      if (name === undefined && entry.type === 'directory') return;
      if (name === undefined)
        throw new PolykernelError('invalid', `${this.#shown} is a directory`, { value: this.#shown });
      if (entry.type === 'other') return this.#options.leftOut(`${shown()} is a device or a FIFO: left out`);
      const place = inside({ fd: this.#directory(parts) }, name);
      if (entry.type === 'directory') makeDirectory(place, entry.mode & 0o777);
      else rmSync(place, { force: true });
      if (entry.type === 'link') symlinkSync(entry.link, place);
      if (entry.type === 'file') {
        const flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_NONBLOCK;
        await using file = await open(place, flags, entry.mode & 0o777);
        await fill(file, entry, entries, this.#options);
      } else if (this.#options.keepsOwners) await lchown(place, entry.uid, entry.gid);
    } catch (error) {
      throw asPolykernelError(error, `writing ${shown()}`);
    }
  }

  #directory(parts: readonly Buffer[]): number {
    const way = Buffer.concat(parts.flatMap((part) => [part, Buffer.from('/')]));
    if (parts.length === 0) return this.#base;
    if (this.#last?.way.equals(way)) return this.#last.fd;
    let fd = this.#base;
    for (const part of parts) {
      const place = inside({ fd }, part);
      let below: number;
      try {
        makeDirectory(place);
        below = openSync(place, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
      } finally {
        if (fd !== this.#base) closeSync(fd);
      }
      fd = below;
    }
    if (this.#last !== undefined) closeSync(this.#last.fd);
    this.#last = { way, fd };
    return fd;
  }

  [Symbol.dispose](): void {
    if (this.#last !== undefined) closeSync(this.#last.fd);
    closeSync(this.#base);
  }
}

/** Its owner can write in it whatever the guest says: else nothing more could be put there. */
function makeDirectory(place: Buffer, mode = 0o755): void {
  try {
    mkdirSync(place, mode | 0o700);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || !lstatSync(place).isDirectory()) throw error;
  }
}
