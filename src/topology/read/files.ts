/**
 * Files of a machine below a root directory: `/`, or a snapshot of another machine. Links are followed as that machine
 * would follow them, absolute ones and `..` staying below the root, so that a snapshot never shows this machine's files.
 */
import { closeSync, constants, lstatSync, openSync, readdirSync, readlinkSync, readSync } from 'node:fs';

/** As Linux: path_resolution(7), MAXSYMLINKS. */
const MAX_LINKS = 40;
/** A fifo in a snapshot must not make us wait; the last component must not be a link, which the kernel would follow outside. */
const FLAGS = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW;
const CHUNK_BYTES = 64 * 1024;
/** /proc/cpuinfo of 1,024 CPUs is 1.5 MB. */
const MAX_BYTES = 64 * 1024 * 1024;

/** All paths are relative to the root, without a leading slash: `proc/cpuinfo`. */
export class MachineFiles {
  /** Without a trailing slash. */
  readonly #root: string;
  readonly #buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  /** Where directories and links lead; null = nowhere. */
  readonly #resolved = new Map<string, string | null>([['', '']]);

  constructor(root: string) {
    this.#root = root.replace(/\/+$/, '');
  }

  /** True for the machine this runs on. */
  get isThisMachine(): boolean {
    return this.#root === '';
  }

  /** Content without white space at its ends, at most `maxBytes`; undefined for what is no readable file. */
  text(path: string, maxBytes: number = MAX_BYTES): string | undefined {
    return this.bytes(path, maxBytes)?.toString('latin1').trim();
  }

  /** A whole number; undefined for anything else, also for one that is too large to be exact. */
  integer(path: string): number | undefined {
    const text = this.text(path, 64);
    return text !== undefined && /^-?(\d{1,15}|0x[\da-f]{1,12})$/i.test(text) ? Number(text) : undefined;
  }

  bytes(path: string, maxBytes: number = MAX_BYTES): Buffer | undefined {
    const at = this.#openable(path);
    if (at === undefined) return undefined;
    let fd: number;
    try {
      fd = openSync(at, FLAGS);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ELOOP') return undefined;
      const real = this.real(path);
      return real === undefined || real === path ? undefined : this.bytes(real, maxBytes);
    }
    try {
      return this.#readAll(fd, maxBytes);
    } catch {
      // A directory, or an attribute that answers EINVAL or EIO (sysfs of an offline CPU).
      return undefined;
    } finally {
      closeSync(fd);
    }
  }

  #readAll(fd: number, maxBytes: number): Buffer {
    const room = Math.min(CHUNK_BYTES, maxBytes);
    let length = readSync(fd, this.#buffer, 0, room, null);
    const first = Buffer.from(this.#buffer.subarray(0, length));
    // A sysfs attribute is one page; procfs gives less than asked for before its end.
    if (length < 4096) return first;
    const chunks = [first];
    for (let total = length; total < maxBytes && length > 0; total += length) {
      length = readSync(fd, this.#buffer, 0, Math.min(CHUNK_BYTES, maxBytes - total), null);
      chunks.push(Buffer.from(this.#buffer.subarray(0, length)));
    }
    return Buffer.concat(chunks);
  }

  /** Names in a directory, in no order; none when there is no such directory. */
  names(directory: string): string[] {
    const real = this.real(directory);
    if (real === undefined) return [];
    try {
      return readdirSync(`${this.#root}/${real}`);
    } catch {
      return [];
    }
  }

  /** Last component of a link's target, whether or not that exists (`driver` gives `nvme`); undefined for what is no link. */
  linkName(path: string): string | undefined {
    const at = this.#openable(path);
    if (at === undefined) return undefined;
    try {
      return readlinkSync(at).replace(/\/+$/, '').split('/').at(-1);
    } catch {
      return undefined;
    }
  }

  /** The path with every link followed; undefined when it leads nowhere. */
  real(path: string): string | undefined {
    return this.#follow(path, { links: 0 }) ?? undefined;
  }

  /** Host path whose directories are no links; its last component may be one. The kernel itself resolves below `/`. */
  #openable(path: string): string | undefined {
    if (this.isThisMachine) return `/${path}`;
    const slash = path.lastIndexOf('/');
    if (slash < 0) return `${this.#root}/${path}`;
    const directory = this.real(path.slice(0, slash));
    return directory === undefined ? undefined : `${this.#root}/${directory}${path.slice(slash)}`;
  }

  #follow(path: string, count: { links: number }): string | null {
    const known = this.#resolved.get(path);
    if (known !== undefined) return known;
    const slash = path.lastIndexOf('/');
    const parent = this.#follow(slash < 0 ? '' : path.slice(0, slash), count);
    const found = parent === null ? null : this.#step(parent, path.slice(slash + 1), count);
    this.#resolved.set(path, found);
    return found;
  }

  /** `name` in `parent`, which is free of links. */
  #step(parent: string, name: string, count: { links: number }): string | null {
    if (name === '' || name === '.') return parent;
    // `..` of the root is the root.
    if (name === '..') return parent.slice(0, Math.max(0, parent.lastIndexOf('/')));
    const path = parent === '' ? name : `${parent}/${name}`;
    let target: string;
    try {
      const found = lstatSync(`${this.#root}/${path}`, { throwIfNoEntry: false });
      if (found === undefined) return null;
      if (!found.isSymbolicLink()) return path;
      target = readlinkSync(`${this.#root}/${path}`);
    } catch {
      return null;
    }
    if (++count.links > MAX_LINKS) return null;
    let at: string | null = target.startsWith('/') ? '' : parent;
    for (const part of target.split('/')) {
      if (at !== null) at = this.#step(at, part, count);
    }
    return at;
  }
}
