/**
 * Unpacks an archive that a guest has made, which may be hostile: on this machine nothing but what the user has named is written.
 * No entry follows a link, of the archive's own or one that was there; `..`, devices and set-id bits are not made, and hard links
 * only of files that came before in it. A directory that was made gets its mode and its time once its content is there.
 */
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  futimesSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  rmSync,
  type Stats,
  symlinkSync,
} from 'node:fs';
import { lchown, stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { asPolykernelError, PolykernelError } from '../../../sys/errors.ts';
import { plainLine } from '../../../sys/text.ts';
import { Entries, type Entry } from './blocks.ts';
import { fill, landFile, replaceFile, timeOf } from './land.ts';
import { inside } from './pack.ts';
import { removeAbandoned } from './partial.ts';

export interface UnpackOptions {
  /** What it is called where `path` is a directory; empty: what is in it goes in there. */
  name: string;
  /** Owners are the guest's numbers; else who copies. */
  keepsOwners: boolean;
  leftOut: (what: string) => void;
}

const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = constants;
/** Files that are remembered, since more names may come of them. */
const MOST_FILES = 2 ** 20;
const SHOWN_CHARACTERS = 1024;
const ROOT = Buffer.from('.');
const NOWHERE = Buffer.alloc(0);

/** Throws `protocol` for an archive that the agent did not make so, and what the file system has against it. */
export async function unpackTree(archive: AsyncIterable<Buffer>, path: string, options: UnpackOptions): Promise<void> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    // What cannot be looked at is not nothing: a loop of links would be replaced.
    if (error.code !== 'ENOENT') throw asPolykernelError(error, `writing ${path}`);
  });
  const isThere = found?.isDirectory() ?? false;
  const entries = new Entries(archive);
  const first = await entries.next();
  if (first === undefined) throw new PolykernelError('protocol', 'the archive from the guest: there is nothing in it');
  // An agent of an earlier version packs that too.
  if (first.type === 'other' && isRoot(first.name))
    throw new PolykernelError('invalid', 'in the guest it is a device or a FIFO, and no file or directory', {
      hint: 'What it gives goes through a pipe: pk exec NAME head -c 1M PATH > FILE',
    });
  if (first.type === 'file' && !isThere && path.endsWith('/'))
    throw new PolykernelError('not-found', `there is no directory ${path}`, { value: path });
  if (first.type === 'file' && isRoot(first.name) && found !== undefined && !isThere) {
    await replaceFile(path, found, first, entries.content(), options.keepsOwners);
    await entries.next();
    return;
  }
  if (found !== undefined && !isThere) throw new PolykernelError('invalid', `${path} is no directory`, { value: path });
  const base = isThere ? path : dirname(path.replace(/\/+$/, ''));
  using tree = new Tree(base, isThere ? options.name : basename(path), options);
  for (let entry: Entry | undefined = first; entry !== undefined; entry = await entries.next())
    await tree.put(entry, entries);
  tree.leave(NOWHERE);
}

/** A name as it is told: one of several lines could tell something else. */
const line = (name: Buffer): string => plainLine(name.toString(), SHOWN_CHARACTERS);

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
      throw new PolykernelError('protocol', `the archive from the guest has the name ${line(name)}, which leads up`);
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
  /** Those that were made and of which more may come, each in the one before it. */
  readonly #open: { way: Buffer; parts: readonly Buffer[]; entry: Entry }[] = [];
  /** The numbers of the files that were made, by device: what is mounted in the tree has files with the same. */
  readonly #files = new Map<number, Set<number>>();
  #fileCount = 0;

  constructor(base: string, prefix: string, options: UnpackOptions) {
    this.#options = options;
    this.#shown = base;
    this.#prefix = prefix === '' ? [] : [Buffer.from(prefix)];
    try {
      this.#base = openSync(base, O_RDONLY | O_DIRECTORY);
      removeAbandoned(this.#base);
    } catch (error) {
      throw asPolykernelError(error, `writing in ${base}`);
    }
  }

  async put(entry: Entry, entries: Entries): Promise<void> {
    const whole = [...this.#prefix, ...partsOf(entry.name)];
    const way = wayOf(whole);
    const parts = whole.slice(0, -1);
    const name = whole.at(-1);
    const { keepsOwners, leftOut } = this.#options;
    const shown = () => `${this.#shown.replace(/\/+$/, '')}/${line(way.subarray(0, -1))}`;
    try {
      this.leave(way);
      if (name === undefined && entry.type === 'directory') return;
      if (name === undefined)
        throw new PolykernelError('invalid', `${this.#shown} is a directory`, { value: this.#shown });
      if (entry.type === 'other') return leftOut(`${shown()} is a device or a FIFO: left out`);
      const directory = this.#directory(parts);
      const place = inside({ fd: directory }, name);
      if (entry.type === 'file') {
        this.#remember(
          await landFile(directory, name, entry.mode & 0o1777, (file) =>
            fill(file, entry, entries.content(), keepsOwners),
          ),
        );
        return;
      }
      if (entry.type === 'directory') {
        if (makeDirectory(place, entry.mode & 0o1777)) this.#open.push({ way, parts: whole, entry });
      } else rmSync(place, { force: true });
      if (entry.type === 'hard') return this.#link([...this.#prefix, ...partsOf(entry.link)], place);
      if (entry.type === 'link') symlinkSync(entry.link, place);
      if (keepsOwners) await lchown(place, entry.uid, entry.gid);
      if (entry.type === 'link') lutimesSync(place, Date.now() / 1000, timeOf(entry));
    } catch (error) {
      throw asPolykernelError(error, `writing ${shown()}`);
    }
  }

  /** What is not on the `way` has all that comes in it, as archives are made. */
  leave(way: Buffer): void {
    for (;;) {
      const last = this.#open.at(-1);
      if (last === undefined || way.subarray(0, last.way.length).equals(last.way)) return;
      this.#open.pop();
      const fd = this.#walk(last.parts);
      try {
        const now = fstatSync(fd).mode;
        // Else what makeDirectory() has given its owner stays.
        if ((last.entry.mode & 0o700) !== 0o700) fchmodSync(fd, now & 0o1777 & (last.entry.mode | 0o1077));
        futimesSync(fd, Date.now() / 1000, timeOf(last.entry));
      } finally {
        closeSync(fd);
      }
    }
  }

  #remember({ dev, ino }: Stats): void {
    if (this.#fileCount >= MOST_FILES) return;
    this.#fileCount += 1;
    const there = this.#files.get(dev);
    if (there === undefined) this.#files.set(dev, new Set([ino]));
    else there.add(ino);
  }

  /** One more name of what came before: what was there else is nobody's to share. */
  #link(target: Buffer[], place: Buffer): void {
    const name = target.pop() ?? ROOT;
    const fd = this.#walk(target);
    try {
      const from = inside({ fd }, name);
      const found = lstatSync(from, { throwIfNoEntry: false });
      if (!found?.isFile() || !this.#files.get(found.dev)?.has(found.ino))
        throw new PolykernelError(
          'protocol',
          `the archive from the guest links to ${line(name)}, which is not in it before`,
          {
            hint: 'Of more than a million files take the archive: pk cp NAME:PATH - | tar -x',
          },
        );
      linkSync(from, place);
    } finally {
      if (fd !== this.#base) closeSync(fd);
    }
  }

  #directory(parts: readonly Buffer[]): number {
    const way = wayOf(parts);
    if (parts.length === 0) return this.#base;
    if (this.#last?.way.equals(way)) return this.#last.fd;
    const fd = this.#walk(parts);
    if (!this.#open.some((made) => made.way.equals(way))) removeAbandoned(fd);
    if (this.#last !== undefined) closeSync(this.#last.fd);
    this.#last = { way, fd };
    return fd;
  }

  /** Opens it, and makes what is not there; #base for no parts. */
  #walk(parts: readonly Buffer[]): number {
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
    return fd;
  }

  [Symbol.dispose](): void {
    if (this.#last !== undefined) closeSync(this.#last.fd);
    closeSync(this.#base);
  }
}

/** Each with a slash behind it. */
const wayOf = (parts: readonly Buffer[]): Buffer => Buffer.concat(parts.flatMap((part) => [part, Buffer.from('/')]));

/** Whether it was not there. Its owner can write in it whatever the guest says: else nothing more could be put there. */
function makeDirectory(place: Buffer, mode = 0o755): boolean {
  try {
    mkdirSync(place, mode | 0o700);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || !lstatSync(place).isDirectory()) throw error;
    return false;
  }
}
