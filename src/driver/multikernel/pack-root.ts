/**
 * A root directory as an archive that a kernel unpacks into its memory (buffer-format `newc` of Linux), for there is no file
 * system between kernels. Nothing is followed: each name is opened in the directory that was opened before it.
 */
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  type Stats,
  writeSync,
} from 'node:fs';
import type { RootSource } from '../../image/contract.ts';
import { PolykernelError } from '../../sys/errors.ts';
import { formatBytes } from '../../sys/units.ts';

/** Where the archive puts the root. */
export const PACKED_ROOT = '/packed';
const PIECE = 256 * 1024;
const TURN_BYTES = 4 * 2 ** 20;
const FORMAT = 0o170000;
const { S_IFREG, S_IFDIR, S_IFLNK, S_IFSOCK } = constants;
const { O_RDONLY, O_NOFOLLOW, O_DIRECTORY, O_NONBLOCK } = constants;

/**
 * Appends the archive of `root` to `output`, an open file. Throws `unsupported` for roots that are no directories, `conflict` when
 * another directory is there by now, `invalid` when it has more than `mostBytes`.
 */
export async function packRoot(root: RootSource, output: number, mostBytes: number): Promise<void> {
  if (root.kind !== 'directory')
    throw new PolykernelError('unsupported', `a root of kind ${root.kind} cannot be packed`);
  const directory = openSync(root.path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  try {
    const { uid, ino } = fstatSync(directory);
    const isOther =
      (root.inode !== undefined && root.inode !== String(ino)) || (root.uid !== undefined && root.uid !== uid);
    if (isOther)
      throw new PolykernelError(
        'conflict',
        `${root.path} is not the directory that it was when the instance was created`,
        {
          field: 'root',
          hint: 'If that is as it should be, remove the instance and create it anew.',
        },
      );
    await new Archive(output, mostBytes).root(directory);
  } finally {
    closeSync(directory);
  }
}

class Archive {
  readonly #output: number;
  readonly #most: number;
  #left: number;
  #inode = 0;
  #unbroken = 0;

  constructor(output: number, mostBytes: number) {
    this.#output = output;
    this.#most = mostBytes;
    this.#left = mostBytes;
  }

  async root(directory: number): Promise<void> {
    await this.#directory(directory, PACKED_ROOT.slice(1));
    await this.#header('TRAILER!!!', undefined, 0);
  }

  async #directory(fd: number, path: string): Promise<void> {
    await this.#header(path, fstatSync(fd), 0);
    const here = `/proc/self/fd/${fd}`;
    for (const name of readdirSync(here).sort()) await this.#entry(`${here}/${name}`, `${path}/${name}`);
  }

  async #entry(at: string, path: string): Promise<void> {
    const status = lstatSync(at);
    const format = status.mode & FORMAT;
    if (format === S_IFSOCK) return;
    if (format === S_IFLNK) {
      const target = Buffer.from(readlinkSync(at));
      await this.#header(path, status, target.length);
      await this.#write(padded(target));
    } else if (format === S_IFREG || format === S_IFDIR) await this.#opened(at, path, format);
    else await this.#header(path, status, 0);
  }

  async #opened(at: string, path: string, format: number): Promise<void> {
    const flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | (format === S_IFDIR ? O_DIRECTORY : 0);
    const fd = openSync(at, flags);
    try {
      if (format === S_IFDIR) await this.#directory(fd, path);
      else await this.#file(fd, path);
    } finally {
      closeSync(fd);
    }
  }

  /** As long as it says it is: one that changes is filled up, or cut. */
  async #file(fd: number, path: string): Promise<void> {
    const status = fstatSync(fd);
    await this.#header(path, status, status.size);
    const buffer = Buffer.alloc(PIECE);
    for (let left = status.size; left > 0; ) {
      const count = readSync(fd, buffer, 0, Math.min(left, PIECE), null) || Math.min(left, PIECE);
      await this.#write(buffer.subarray(0, count));
      left -= count;
    }
    await this.#write(Buffer.alloc((4 - (status.size % 4)) % 4));
  }

  /** Inode, mode, owner, group, links, time, size, device, own device, length of the name, sum. */
  async #header(path: string, status: Stats | undefined, size: number): Promise<void> {
    const name = Buffer.from(`${path}\0`);
    const { mode = 0, uid = 0, gid = 0, rdev = 0 } = status ?? {};
    const time = Math.max(0, Math.floor((status?.mtimeMs ?? 0) / 1000));
    const special = [(rdev >> 8) & 0xfff, (rdev & 0xff) | ((rdev >> 12) & 0xfff00)];
    const links = (mode & FORMAT) === S_IFDIR ? 2 : 1;
    const fields = [++this.#inode, mode, uid, gid, links, time % 2 ** 32, size, 0, 0, ...special, name.length, 0];
    if (size >= 2 ** 32)
      throw new PolykernelError('invalid', `${path}: a file of 4 GiB or more cannot be packed`, { field: 'root' });
    const head = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`;
    await this.#write(padded(Buffer.concat([Buffer.from(head, 'latin1'), name])));
  }

  async #write(bytes: Uint8Array): Promise<void> {
    this.#left -= bytes.length;
    if (this.#left < 0)
      throw new PolykernelError(
        'invalid',
        `the root has more than ${formatBytes(this.#most)}, which its kernel keeps in memory`,
        {
          field: 'root',
          hint: 'Give the kernel more memory, or a smaller root.',
        },
      );
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#output, bytes, at);
    // Others of this process have their turn.
    this.#unbroken += bytes.length;
    if (this.#unbroken < TURN_BYTES) return;
    this.#unbroken = 0;
    await new Promise(setImmediate);
  }
}

const padded = (bytes: Buffer): Buffer => Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);
