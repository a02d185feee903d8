/**
 * What this machine's own files are, for guests that have them as their root: what the daemon sees in less than a millisecond takes an
 * emulated guest, which asks its share, some hundred times as long.
 */
import { constants } from 'node:fs';
import { access, lstat, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { KnownModules, KnownRoot } from '../guest/index.ts';
import { closePatiently, openPatiently, patiently } from '../sys/patience.ts';

/** Fits into the smallest message that an agent takes. */
const MOST_HOSTS_BYTES = 600;
/** What modprobe cannot do without: a directory that lacks it, as packages of headers make, holds no modules. */
const MODULE_LIST = 'modules.dep';
/** A file system that takes longer is the guest's to ask: the start of its kernel waits for that, and nobody else's. */
const PATIENCE_MS = 500;

/** `modulesOf`: the release of the kernel whose modules are to be shown; undefined: none are. Never rejects. */
export async function machineRoot(modulesOf: string | undefined, root = '/'): Promise<KnownRoot> {
  const [known, etcMode, modules] = await Promise.all([
    hosts(join(root, 'etc/hosts')),
    plainMode(join(root, 'etc')),
    modulesOf === undefined ? undefined : modulesIn(modulesOf, root),
  ]);
  return { hosts: known, etcMode, modules };
}

/** undefined where it is long, no text, or not everybody's to read: the guest is to look itself. */
async function hosts(path: string): Promise<string | undefined> {
  const file = await openPatiently(path, MOST_HOSTS_BYTES, PATIENCE_MS).catch(() => undefined);
  if (file === undefined) return undefined;
  void closePatiently(path, file.fd);
  const { mode, size } = file.status;
  const text = file.head.toString('latin1');
  const isShown = (mode & 0o4) !== 0 && size <= MOST_HOSTS_BYTES && /^[\t\n\r\x20-\x7e]*$/.test(text);
  return isShown ? text : undefined;
}

/** undefined for what is no directory of root's, or has more than a mode. */
async function plainMode(path: string): Promise<number | undefined> {
  const there = await patiently(path, () => lstat(path), PATIENCE_MS).catch(() => undefined);
  if (!there?.isDirectory() || there.uid !== 0 || there.gid !== 0) return undefined;
  const mode = there.mode & 0o7777;
  return mode <= 0o777 ? mode : undefined;
}

/** The same; in turn with who asks the file system that the modules lie in. */
async function modulesIn(release: string, root: string): Promise<KnownModules | undefined> {
  const above = join(root, 'usr/lib/modules');
  return await patiently(above, () => lookAtModules(root, release), PATIENCE_MS).catch(() => undefined);
}

/**
 * undefined where something is not as in most systems: the guest is to look itself. Rejects where something cannot be seen.
 */
async function lookAtModules(root: string, release: string): Promise<KnownModules | undefined> {
  const hasLoader = await isProgram(join(root, 'sbin/modprobe'));
  const parts = (await isMerged(root)) ? ['usr', 'usr/lib', 'usr/lib/modules'] : ['lib', 'lib/modules'];
  const place = `${parts.at(-1)}/${release}`;
  if ((await look(join(root, place, MODULE_LIST))) !== undefined) return { room: [], hasLoader };
  const room: { path: string; mode: number }[] = [];
  for (const path of [...parts, place]) {
    const there = await look(join(root, path));
    if (there !== undefined && !(there.isDirectory() && there.uid === 0 && there.gid === 0)) return undefined;
    room.push({ path, mode: there === undefined ? 0o755 : there.mode & 0o7777 });
  }
  return { room, hasLoader };
}

/** Whether /lib is a link to usr/lib, as in most systems: no other is known. */
async function isMerged(root: string): Promise<boolean> {
  const path = join(root, 'lib');
  return (await look(path))?.isSymbolicLink() === true && /^\/?usr\/lib$/.test(await readlink(path));
}

async function isProgram(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return false;
  }
}

/** undefined where there is nothing. */
async function look(path: string) {
  try {
    return await lstat(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return undefined;
  }
}
