/** Makes what a person gives as --rootfs into a root a driver can mount. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, createReadStream, existsSync, openSync, readSync, type Stats } from 'node:fs';
import { chmod, mkdir, readdir, readFile, realpath, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import type { RootSource } from '../driver/index.ts';
import { toolEnvironment } from '../sys/environment.ts';
import { asPolykernelError, PolykernelError } from '../sys/errors.ts';
import { cacheDirectory } from '../sys/paths.ts';
import { toolPath } from '../sys/tools.ts';
import { withLock } from './lock.ts';
import { untar } from './untar.ts';
import { detectCompression } from './vmlinux.ts';

export type RootFormat = 'tar' | 'tar.gz' | 'tar.xz' | 'tar.zst' | 'squashfs' | 'ext4';

export interface RootOptions {
  /** Default: the user's cache directory. */
  cache?: string;
  progress?: (line: string) => void;
  signal?: AbortSignal | undefined;
}

/** The ext4 superblock begins at 1024; its magic is 0xEF53 at 56 from there. */
const EXT4_MAGIC_OFFSET = 1080;
const HEAD_BYTES = 2048;
const COMPRESSED: Readonly<Record<string, RootFormat>> = { gzip: 'tar.gz', xz: 'tar.xz', zstd: 'tar.zst' };

/** What kind of root file begins with these bytes (at least 2048 of them, if the file is that long). */
export function detectRoot(head: Buffer): RootFormat | undefined {
  if (head.toString('latin1', 0, 4) === 'hsqs') return 'squashfs';
  if (head.length >= EXT4_MAGIC_OFFSET + 2 && head.readUInt16LE(EXT4_MAGIC_OFFSET) === 0xef53) return 'ext4';
  const compression = detectCompression(head);
  if (compression !== undefined && compression in COMPRESSED) return COMPRESSED[compression];
  return isTarHeader(head) ? 'tar' : undefined;
}

/**
 * A directory, squashfs or ext4 file is used as it is; a tar file is unpacked into the cache, once per content.
 * Throws `not-found`, `invalid` or `permission` naming --rootfs.
 */
export async function prepareRoot(given: string, options: RootOptions = {}): Promise<RootSource> {
  const { path, status } = await locate(given);
  if (status.isDirectory()) return { kind: 'directory', path };
  if (!status.isFile()) throw unusable(given, 'it is neither a directory nor a regular file');
  const format = detectRoot(readHead(path));
  if (format === undefined) throw unusable(given, 'its contents are no tar, squashfs or ext4 image');
  if (format === 'squashfs' || format === 'ext4') return { kind: format, path };
  const store = join(options.cache ?? cacheDirectory(), 'rootfs');
  const unpack = () => unpackOnce(path, given, format, store, status, options);
  return { kind: 'directory', path: await unpack().catch((error) => Promise.reject(named(error, given))) };
}

async function locate(given: string): Promise<{ path: string; status: Stats }> {
  try {
    const path = await realpath(given);
    return { path, status: await stat(path) };
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') {
      const message = `--rootfs: there is no file or directory ${given}`;
      throw new PolykernelError('not-found', message, { field: '--rootfs', value: given, cause });
    }
    throw named(cause, given);
  }
}

function readHead(path: string): Buffer {
  const fd = openSync(path, 'r');
  try {
    const head = Buffer.alloc(HEAD_BYTES);
    return head.subarray(0, readSync(fd, head, 0, HEAD_BYTES, 0));
  } catch (error) {
    throw named(error, path);
  } finally {
    closeSync(fd);
  }
}

/** A tar header's checksum is the sum of its 512 bytes with the checksum field read as spaces (POSIX ustar). */
function isTarHeader(head: Buffer): boolean {
  if (head.length < 512) return false;
  const stated = Number.parseInt(head.toString('latin1', 148, 156), 8);
  const sum = head.subarray(0, 512).reduce((total, byte, at) => total + (at >= 148 && at < 156 ? 0x20 : byte), 0);
  return sum > 8 * 0x20 && sum === stated;
}

async function unpackOnce(
  path: string,
  given: string,
  format: RootFormat,
  store: string,
  status: Stats,
  options: RootOptions,
): Promise<string> {
  const hash = await contentHash(path, store, status, options.signal);
  const target = join(store, hash);
  if (existsSync(target)) return target;
  const unpack = async () => {
    if (existsSync(target)) return target;
    // Nobody else holds the lock: whatever is unfinished was left by a crash.
    for (const name of await readdir(store)) {
      if (name.endsWith('.partial')) await rm(join(store, name), { recursive: true, force: true });
    }
    options.progress?.(`unpacking ${given}`);
    const partial = `${target}.partial`;
    await mkdir(partial);
    await chmod(partial, 0o755);
    try {
      const keepOwners = process.getuid?.() === 0;
      await untar(openTar(path, format), partial, { keepOwners, signal: options.signal });
      await checkRoot(partial, given);
      await rename(partial, target);
    } catch (error) {
      await rm(partial, { recursive: true, force: true });
      throw error;
    }
    return target;
  };
  const onWait = () => options.progress?.('waiting for another process that unpacks a root file system');
  return withLock(join(store, 'lock'), unpack, { onWait, signal: options.signal });
}

/** SHA-256 of a file, remembered under what stat(2) says of it: large archives take seconds to read. */
async function contentHash(path: string, store: string, status: Stats, signal?: AbortSignal): Promise<string> {
  const identity = [path, status.dev, status.ino, status.size, status.mtimeMs, status.ctimeMs].join('\n');
  const memo = join(store, 'known', createHash('sha256').update(identity).digest('hex'));
  const known = await readFile(memo, 'utf8').catch(() => '');
  if (/^[0-9a-f]{64}$/.test(known)) return known;
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024, ...(signal && { signal }) })) {
    hash.update(chunk);
  }
  const digest = hash.digest('hex');
  await mkdir(join(store, 'known'), { recursive: true });
  await writeFile(memo, digest);
  return digest;
}

function openTar(path: string, format: RootFormat): Readable {
  if (format === 'tar') return createReadStream(path);
  if (format === 'tar.gz') return piped(createReadStream(path), createGunzip());
  if (format === 'tar.zst') return piped(createReadStream(path), createZstdDecompress());
  const xz = spawn(toolPath('xz').path, ['-dc', '--', path], {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: toolEnvironment(),
  });
  xz.once('close', (code) => {
    if (code !== 0) xz.stdout.destroy(new Error(`xz ended with status ${code}`));
  });
  return xz.stdout;
}

function piped<T extends NodeJS.ReadWriteStream & Readable>(source: Readable, filter: T): Readable {
  source.once('error', (error) => filter.destroy(error));
  return source.pipe(filter);
}

/** An image as `docker save` or OCI tools write it is a tar of tars: nothing in it can be run. */
async function checkRoot(directory: string, given: string): Promise<void> {
  const names = await readdir(directory);
  if (names.length === 0) throw unusable(given, 'the archive is empty');
  if (!names.includes('oci-layout') && !names.includes('manifest.json')) return;
  if (names.some((name) => ['bin', 'usr', 'etc'].includes(name))) return;
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
  if (error instanceof PolykernelError || (error as Error).name === 'AbortError') return error;
  if (error instanceof RangeError) return unusable(given, error.message);
  const errno = error as NodeJS.ErrnoException;
  // Errors of the decoders: a system call's error has a path or call and is told as such.
  if (errno.syscall === undefined) return unusable(given, `the archive is damaged (${errno.message})`);
  const { code, message } = asPolykernelError(error, `--rootfs: reading or unpacking ${given}`);
  return new PolykernelError(code, message, { field: '--rootfs', value: given, cause: error });
}
