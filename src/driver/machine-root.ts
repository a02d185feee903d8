/**
 * What this machine's own files are, for guests that have them as their root: what the daemon sees in microseconds takes an
 * emulated guest, which asks its share, some hundred times as long.
 */
import { accessSync, constants, lstatSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { KnownRoot } from '../guest/index.ts';

/** Fits into the smallest message that an agent takes. */
const MOST_HOSTS_BYTES = 600;
/** What modprobe cannot do without: a directory that lacks it, as packages of headers make, holds no modules. */
const MODULE_LIST = 'modules.dep';

/** `modulesOf`: the release of the kernel whose modules are to be shown; undefined: none are. */
export const machineRoot = (modulesOf: string | undefined, root = '/'): KnownRoot => ({
  hosts: hosts(join(root, 'etc/hosts')),
  modulesRoom: modulesOf === undefined ? undefined : modulesRoom(root, modulesOf),
});

/** undefined where it is long, no text, or not everybody's to read: the guest is to look itself. */
function hosts(file: string): string | undefined {
  try {
    const { mode, size } = statSync(file);
    if ((mode & 0o170004) !== 0o100004 || size > MOST_HOSTS_BYTES) return undefined;
    const text = readFileSync(file, 'utf8');
    return /^[\t\n\r\x20-\x7e]*$/.test(text) ? text.slice(0, MOST_HOSTS_BYTES) : undefined;
  } catch {
    return undefined;
  }
}

/**
 * undefined where something is not as in most systems, or cannot be seen: the guest is to look itself, and lends its kernel a modprobe
 * where there is none.
 */
function modulesRoom(root: string, release: string): KnownRoot['modulesRoom'] {
  try {
    accessSync(join(root, 'sbin/modprobe'), constants.X_OK);
    const parts = isMerged(root) ? ['usr', 'usr/lib', 'usr/lib/modules'] : ['lib', 'lib/modules'];
    const place = `${parts.at(-1)}/${release}`;
    if (look(join(root, place, MODULE_LIST)) !== undefined) return [];
    const room = [...parts, place].map((path) => ({ path, there: look(join(root, path)) }));
    if (room.some(({ there }) => there !== undefined && !(there.isDirectory() && there.uid === 0 && there.gid === 0)))
      return undefined;
    return room.map(({ path, there }) => ({ path, mode: there === undefined ? 0o755 : there.mode & 0o7777 }));
  } catch {
    return undefined;
  }
}

/** Whether /lib is a link to usr/lib, as in most systems: no other is known. */
function isMerged(root: string): boolean {
  const path = join(root, 'lib');
  return look(path)?.isSymbolicLink() === true && /^\/?usr\/lib$/.test(readlinkSync(path));
}

const look = (path: string) => lstatSync(path, { throwIfNoEntry: false });
