/** Where a machine's files come from: below a directory of this host, or (in tests) from memory. */
import { closeSync, constants, lstatSync, openSync, readdirSync, readlinkSync, readSync } from 'node:fs';

/** Paths are relative to the root, without a leading slash. No call throws or follows a link in the last component. */
export interface FileTree {
  /** At most `maxBytes` of a file; null for a link; undefined for what is no readable file. */
  read(path: string, maxBytes: number): Buffer | null | undefined;
  /** Target of a link; null for what is there and no link; undefined for what is not there. */
  link(path: string): string | null | undefined;
  /** Names in a directory, in any order; none when it is no readable directory. */
  names(path: string): string[];
  /** Whether this is the root of the running system, where the kernel may resolve paths. */
  readonly isThisMachine: boolean;
}

/** A fifo in a snapshot must not make us wait. */
const FLAGS = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW;
const CHUNK_BYTES = 64 * 1024;

export class HostTree implements FileTree {
  readonly isThisMachine: boolean;
  /** With a trailing slash. */
  readonly #root: string;
  readonly #buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES);

  constructor(root: string) {
    this.#root = `${root.replace(/\/+$/, '')}/`;
    this.isThisMachine = this.#root === '/';
  }

  read(path: string, maxBytes: number): Buffer | null | undefined {
    let fd: number;
    try {
      fd = openSync(this.#root + path, FLAGS);
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === 'ELOOP' ? null : undefined;
    }
    try {
      return this.#readAll(fd, maxBytes);
    } catch {
      // A directory, or an attribute that answers EINVAL or EIO.
      return undefined;
    } finally {
      closeSync(fd);
    }
  }

  #readAll(fd: number, maxBytes: number): Buffer {
    const chunks: Buffer[] = [];
    for (let total = 0; total < maxBytes; ) {
      const length = readSync(fd, this.#buffer, 0, Math.min(CHUNK_BYTES, maxBytes - total), null);
      if (length > 0) chunks.push(Buffer.from(this.#buffer.subarray(0, length)));
      total += length;
      // A sysfs attribute is one page at most and comes in one piece; procfs files come in pages.
      if (length === 0 || (total === length && length < 1024)) break;
    }
    return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
  }

  link(path: string): string | null | undefined {
    try {
      const found = lstatSync(this.#root + path, { throwIfNoEntry: false });
      if (found === undefined) return undefined;
      return found.isSymbolicLink() ? readlinkSync(this.#root + path) : null;
    } catch {
      return undefined;
    }
  }

  names(path: string): string[] {
    try {
      return readdirSync(this.#root + path);
    } catch {
      return [];
    }
  }
}
