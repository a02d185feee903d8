/**
 * Unpacks a tar stream below a directory. The archive is hostile input: no entry may write, link or change anything
 * outside the directory, whatever its names and symbolic links say.
 */
import { chmodSync, createWriteStream, lstatSync, mkdirSync, readlinkSync } from 'node:fs';
import { chmod, lchown, link, lutimes, mkdir, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { extract, type Header } from 'tar-stream';

export interface UntarOptions {
  /** Give files the owners in the archive; needs root. */
  keepOwners: boolean;
  signal?: AbortSignal | undefined;
}

const MAX_LINKS = 40;
const MODE_BITS = 0o7777;

/**
 * Unpacks `input` into the existing directory `root`. Devices and sockets are left out: guests have their own /dev.
 * Throws RangeError naming the entry that tries to leave `root`.
 */
export async function untar(input: Readable, root: string, options: UntarOptions): Promise<void> {
  const archive = extract();
  const fed = pipeline(input, archive, options.signal ? { signal: options.signal } : {});
  // Both ends fail together; the loop's error is the telling one.
  fed.catch(() => {});
  // A directory without write permission must still take its files: its own mode comes last.
  const directories: { path: string; header: Header }[] = [];
  for await (const entry of archive) {
    const { header } = entry;
    const path = placeOf(root, header.name);
    if (path === undefined) {
      entry.resume();
      continue;
    }
    if (header.type === 'directory') {
      if (lstatSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) {
        await rm(path, { force: true });
        await mkdir(path);
      }
      directories.push({ path, header });
      entry.resume();
      continue;
    }
    if (!['file', 'contiguous-file', 'symlink', 'link'].includes(header.type ?? '')) {
      entry.resume();
      continue;
    }
    await rm(path, { recursive: true, force: true });
    if (header.type === 'symlink') await symlink(header.linkname ?? '', path);
    else if (header.type === 'link') await hardLink(root, header, path);
    else await pipeline(entry, createWriteStream(path, { flags: 'wx' }));
    if (header.type === 'symlink' || header.type === 'link') entry.resume();
    if (header.type !== 'link') await dress(path, header, options.keepOwners);
  }
  await fed;
  for (const { path, header } of directories.reverse()) {
    if (lstatSync(path, { throwIfNoEntry: false })?.isDirectory()) await dress(path, header, options.keepOwners);
  }
}

async function hardLink(root: string, header: Header, path: string): Promise<void> {
  const target = placeOf(root, header.linkname ?? '');
  // Only what this archive unpacked can be there, and a link to a symbolic link is the link itself.
  if (target === undefined) throw new RangeError(`the hard link ${header.name} has no target`);
  await link(target, path);
}

async function dress(path: string, header: Header, keepOwners: boolean): Promise<void> {
  if (keepOwners) await lchown(path, header.uid ?? 0, header.gid ?? 0);
  // After the owner, as a change of owner clears the setuid bit.
  if (header.type !== 'symlink') await chmod(path, (header.mode ?? 0o644) & MODE_BITS);
  if (header.mtime) await lutimes(path, header.mtime, header.mtime);
}

/**
 * Host path for a name in the archive: parents are made, and symbolic links among them are followed as if `root` were /,
 * so that they cannot lead out. The last component is not followed. Undefined for the root itself.
 */
function placeOf(root: string, name: string): string | undefined {
  const steps = name.split('/').filter((step) => step !== '' && step !== '.');
  if (steps.includes('..')) throw new RangeError(`the entry ${name} leaves the archive`);
  const last = steps.pop();
  return last === undefined ? undefined : join(root, ...resolveInside(root, steps, name), last);
}

function resolveInside(root: string, steps: readonly string[], name: string): string[] {
  const rest = [...steps];
  const done: string[] = [];
  for (let links = 0; rest.length > 0; ) {
    const step = rest.shift()!;
    if (step === '' || step === '.') continue;
    if (step === '..') {
      done.pop();
      continue;
    }
    const path = join(root, ...done, step);
    const status = lstatSync(path, { throwIfNoEntry: false });
    if (status?.isSymbolicLink()) {
      links += 1;
      if (links > MAX_LINKS) throw new RangeError(`the entry ${name} goes through a loop of symbolic links`);
      const target = readlinkSync(path);
      if (target.startsWith('/')) done.length = 0;
      rest.unshift(...target.split('/'));
      continue;
    }
    if (status === undefined) {
      mkdirSync(path);
      chmodSync(path, 0o755);
    } else if (!status.isDirectory()) throw new RangeError(`the entry ${name} lies below ${step}, which is a file`);
    done.push(step);
  }
  return done;
}
