/** Makes what a person gives as --rootfs into a root a driver can mount. */
import { createHash } from 'node:crypto';
import { chmodSync, closeSync, mkdirSync, readlinkSync, type Stats } from 'node:fs';
import { mkdir, readFile, realpath, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { asPolykernelError, PolykernelError } from '../sys/errors.ts';
import { checkRoom, type SpaceOf } from '../sys/free-space.ts';
import { cacheDirectory } from '../sys/paths.ts';
import { closePatiently, type OpenFile, openPatiently, patiently } from '../sys/patience.ts';
import { readPieces } from '../sys/read-at.ts';
import { Turns } from '../sys/turns.ts';
import { formatBytes } from '../sys/units.ts';
import { withLock } from './lock.ts';
import type { RootSource, Source } from './root.ts';
import { makeRoom, noteGiven } from './root-cache.ts';
import { takeLease } from './root-lease.ts';
import { type Packing, packRoot, ROOT_BOUNDS, type RootBounds } from './root-pack.ts';
import { removeTrees } from './root-trees.ts';
import { isTarHeader, type TarMeter } from './tar-meter.ts';
import { detectCompression } from './vmlinux.ts';

export type RootFormat = Packing | 'squashfs' | 'ext4';

export interface RootOptions {
  /** Default: the user's cache directory. */
  cache?: string;
  progress?: (line: string) => void;
  signal?: AbortSignal | undefined;
  /** How full the disk is; default: as it is. */
  space?: SpaceOf;
  /** Default: ROOT_BOUNDS. */
  bounds?: Partial<RootBounds>;
  /**
   * Gets an open descriptor when the root is an image of the cache: that stays there until it is closed, and every copy of it
   * that a process inherited. The caller closes it, even when this rejects. Default: the image may go at any time.
   */
  hold?: (lease: number) => void;
  /** What was given once: what is opened has to be that, and no link, whatever happens to the path meanwhile. */
  seen?: Source;
}

/** The ext4 superblock begins at 1024; its magic is 0xEF53 at 56 from there. */
const EXT4_MAGIC_OFFSET = 1080;
const HEAD_BYTES = 2048;
/** Archives that one daemon packs at a time: each may take 5 GiB of memory. */
const MOST_AT_ONCE = 4;
const turns = new Turns(MOST_AT_ONCE);
const COMPRESSED: Readonly<Record<string, Packing>> = { gzip: 'tar.gz', xz: 'tar.xz', zstd: 'tar.zst' };

/** What kind of root file begins with these bytes (at least 2048 of them, if the file is that long). */
export function detectRoot(head: Buffer): RootFormat | undefined {
  if (head.toString('latin1', 0, 4) === 'hsqs') return 'squashfs';
  if (head.length >= EXT4_MAGIC_OFFSET + 2 && head.readUInt16LE(EXT4_MAGIC_OFFSET) === 0xef53) return 'ext4';
  const compression = detectCompression(head);
  if (compression !== undefined && compression in COMPRESSED) return COMPRESSED[compression];
  return isTarHeader(head) ? 'tar' : undefined;
}

/**
 * A directory, squashfs or ext4 file is used as it is; a tar file becomes a squashfs in the cache, once per content.
 * Throws `not-found`, `invalid` or `permission` naming --rootfs, or `conflict` when it is not what was `seen`.
 */
export async function prepareRoot(given: string, options: RootOptions = {}): Promise<RootSource> {
  const { path, status } = await locate(given);
  const { seen } = options;
  if (seen !== undefined && path !== seen.path) throw replaced(given);
  // Whether a directory or an image still is what was seen is looked at again where it is opened for its kernel.
  if (status.isDirectory()) return { kind: 'directory', ...(seen ?? { path }) };
  const archive = await open(path, given);
  if (archive === undefined) throw unusable(given, 'it is neither a directory nor a regular file');
  try {
    if (seen !== undefined && !isSeen(archive, seen)) throw replaced(given);
    const format = detectRoot(archive.head);
    if (format === undefined) throw unusable(given, 'its contents are no tar, squashfs or ext4 image');
    if (format === 'squashfs' || format === 'ext4') return { kind: format, ...(seen ?? { path }) };
    return { kind: 'squashfs', path: await packOnce(archive, path, given, format, options) };
  } catch (error) {
    throw named(error, given);
  } finally {
    await closePatiently(path, archive.fd);
  }
}

async function open(path: string, given: string): Promise<OpenFile | undefined> {
  try {
    return await openPatiently(path, HEAD_BYTES);
  } catch (error) {
    throw named(error, given);
  }
}

async function locate(given: string): Promise<{ path: string; status: Stats }> {
  try {
    return await patiently(given, async () => {
      const path = await realpath(given);
      return { path, status: await stat(path) };
    });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') {
      const message = `--rootfs: there is no file or directory ${given}`;
      throw new PolykernelError('not-found', message, { field: '--rootfs', value: given, cause });
    }
    throw named(cause, given);
  }
}

/** The path is that of the open file itself: a link that was followed on the way does not show in it. */
function isSeen({ fd, status }: OpenFile, { path, uid }: Source): boolean {
  const isOwners = uid === undefined || status.uid === uid;
  return isOwners && readlinkSync(`/proc/self/fd/${fd}`) === path;
}

function replaced(given: string): PolykernelError {
  return new PolykernelError('conflict', `--rootfs: ${given} is not what it was when it was given`, {
    field: '--rootfs',
    value: given,
    hint: 'If that is as it should be, remove the instance and create it anew.',
  });
}

async function packOnce(
  { fd: archive, status }: OpenFile,
  path: string,
  given: string,
  format: Packing,
  options: RootOptions,
): Promise<string> {
  const { signal, hold } = options;
  const bounds = { ...ROOT_BOUNDS, ...options.bounds };
  if (status.size > bounds.archiveBytes) throw new RangeError(`it is larger than ${formatBytes(bounds.archiveBytes)}`);
  const store = join(options.cache ?? cacheDirectory(), 'rootfs');
  mkdirSync(store, { recursive: true, mode: 0o700 });
  // One that an earlier version made may be open to all, with set-uid programs of an archive below it.
  chmodSync(store, 0o700);
  const hash = await contentHash(archive, path, store, status, signal);
  // Before anybody is told of it: from now on nobody evicts it.
  const lease = await takeLease(store, hash, signal);
  hold?.(lease);
  try {
    const packing: PackRequest = { archive, given, format, store, hash, bytes: status.size, bounds };
    return await findOrPack(packing, options);
  } finally {
    if (hold === undefined) closeSync(lease);
  }
}

interface PackRequest {
  archive: number;
  given: string;
  format: Packing;
  store: string;
  hash: string;
  /** Of the archive. */
  bytes: number;
  bounds: RootBounds;
}

async function findOrPack(request: PackRequest, { progress, signal, space }: RootOptions): Promise<string> {
  const { archive, given, format: packing, store, hash, bytes, bounds } = request;
  const target = join(store, `${hash}.squashfs`);
  if (noteGiven(target)) return target;
  const pack = async () => {
    if (noteGiven(target)) return target;
    // Nobody else holds the lock of this content: what is unfinished was left by a crash.
    const partial = join(store, `${hash}.partial`);
    await rm(partial, { recursive: true, force: true });
    await removeTrees(store);
    // It is not compressed: never smaller than what was given, but for what is in there twice.
    await makeRoom(store, bytes, space);
    checkRoom(store, bytes, given, space);
    progress?.(`unpacking ${given}`);
    const meter = await packRoot({
      archive,
      bytes,
      packing,
      subject: given,
      hash,
      target: partial,
      bounds,
      space,
      signal,
    });
    try {
      checkRoot(meter, given);
      await rename(partial, target);
    } finally {
      await rm(partial, { force: true });
    }
    await makeRoom(store, 0, space);
    return target;
  };
  const inTurn = () =>
    turns.run(pack, () => progress?.(`waiting for ${MOST_AT_ONCE} other root file systems to be unpacked`), signal);
  // One lock per content: a hostile archive, which may take until its deadline, keeps nobody else waiting.
  const onWait = () => progress?.('waiting for another process that unpacks the same root file system');
  return withLock(join(store, 'locks', hash), inTurn, { onWait, signal });
}

/** SHA-256 of a file, remembered under what stat(2) says of it: large archives take seconds to read. */
async function contentHash(
  archive: number,
  path: string,
  store: string,
  status: Stats,
  signal?: AbortSignal,
): Promise<string> {
  const identity = [path, status.dev, status.ino, status.size, status.mtimeMs, status.ctimeMs].join('\n');
  const memo = join(store, 'known', createHash('sha256').update(identity).digest('hex'));
  const known = await readFile(memo, 'utf8').catch(() => '');
  if (/^[0-9a-f]{64}$/.test(known)) return known;
  const hash = createHash('sha256');
  for await (const piece of readPieces(archive, 0, status.size, 1024 * 1024)) {
    signal?.throwIfAborted();
    hash.update(piece);
  }
  const digest = hash.digest('hex');
  await mkdir(join(store, 'known'), { recursive: true });
  await writeFile(memo, digest);
  return digest;
}

/** An image as `docker save` or OCI tools write it is a tar of tars: nothing in it can be run. */
function checkRoot({ names }: TarMeter, given: string): void {
  if (!names.has('oci-layout') && !names.has('manifest.json')) return;
  if (['bin', 'usr', 'etc'].some((name) => names.has(name))) return;
  throw unusable(given, 'it is a container image, not a file system', 'Use the output of `docker export CONTAINER`.');
}

function unusable(given: string, reason: string, hint?: string): PolykernelError {
  return new PolykernelError('invalid', `--rootfs: ${given} cannot be a root file system: ${reason}`, {
    field: '--rootfs',
    value: given,
    hint: hint ?? 'Give a directory, a tar file (plain, .gz, .xz or .zst), a squashfs or an ext4 image.',
  });
}

function named(error: unknown, given: string): unknown {
  if ((error as Error).name === 'AbortError') return error;
  if (error instanceof PolykernelError) {
    if (error.code !== 'invalid' || error.field !== undefined) return error;
    return unusable(given, error.message, error.hint);
  }
  if (error instanceof RangeError) return unusable(given, error.message);
  const errno = error as NodeJS.ErrnoException;
  if (errno.syscall === undefined) return error;
  const { code, message } = asPolykernelError(error, `--rootfs: reading or unpacking ${given}`);
  return new PolykernelError(code, message, { field: '--rootfs', value: given, cause: error });
}
