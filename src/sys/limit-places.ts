/**
 * Where this process may make control groups that bound memory and processes: found out, never assumed. Kernels are put
 * beside or below the daemon, so that what bounds the daemon bounds them too.
 *
 * - Version 1: below the daemon's own group of the `memory` and of the `pids` hierarchy.
 * - Version 2: in the nearest group above the daemon that it may write and that has no processes of its own, which is
 *   the one systemd has delegated (`Delegate=`, user@UID.service); as root otherwise in the root group.
 */
import type { HostFiles } from './host-files.ts';

export type LimitController = 'pids' | 'memory';
export const LIMIT_CONTROLLERS: readonly LimitController[] = ['memory', 'pids'];

export interface LimitPlace {
  version: 1 | 2;
  /** Directory in which groups are made. */
  parent: string;
  controllers: readonly LimitController[];
}

export interface LimitPlaces {
  places: LimitPlace[];
  /** Why a controller has no place, one sentence each. */
  notes: string[];
}

interface Mount {
  type: string;
  root: string;
  point: string;
  options: readonly string[];
}

/** Reads only: controllers may have to be switched on in `parent` (missingControllers). */
export function limitPlaces(host: HostFiles, uid = process.getuid?.() ?? -1): LimitPlaces {
  const mounts = readMounts(host.read('/proc/self/mountinfo') ?? '');
  const own = memberships(host.read('/proc/self/cgroup') ?? '');
  const places: LimitPlace[] = [];
  const notes: string[] = [];
  const missing = LIMIT_CONTROLLERS.filter((name) => {
    const place = placeVersion1(host, mounts, own, name);
    if (place === undefined) return true;
    if (host.isWritable(place)) places.push({ version: 1, parent: place, controllers: [name] });
    else notes.push(`the control group ${place} cannot be written by this user`);
    return false;
  });
  if (missing.length > 0) {
    const found = placeVersion2(host, mounts, own, missing, uid);
    if (typeof found === 'string') notes.push(found);
    else places.push(found);
  }
  return { places, notes };
}

/** undefined where version 1 does not have the controller. */
function placeVersion1(
  host: HostFiles,
  mounts: readonly Mount[],
  own: ReadonlyMap<string, string>,
  name: LimitController,
): string | undefined {
  const mount = mounts.find(({ type, options }) => type === 'cgroup' && options.includes(name));
  const path = own.get(name);
  if (mount === undefined || path === undefined) return undefined;
  const directory = mount.point + below(mount.root, path);
  return host.read(`${directory}/cgroup.procs`) === undefined ? mount.point : directory;
}

function placeVersion2(
  host: HostFiles,
  mounts: readonly Mount[],
  own: ReadonlyMap<string, string>,
  wanted: readonly LimitController[],
  uid: number,
): LimitPlace | string {
  const mount = mounts.find(({ type }) => type === 'cgroup2');
  const path = own.get('');
  const names = wanted.join(' and ');
  if (mount === undefined || path === undefined) return `this host offers no control groups for ${names}`;
  const parts = below(mount.root, path).split('/').filter(Boolean);
  const above = parts.map((_, count) => [mount.point, ...parts.slice(0, parts.length - count)].join('/'));
  // Root may write everywhere: only a service's own group has been given to it, and the root group is nobody's.
  const candidates = uid === 0 ? above.filter((group) => /\.(service|scope)$/.test(group)) : above;
  for (const parent of [...candidates, mount.point]) {
    const has = words(host.read(`${parent}/cgroup.controllers`)).filter((name) => wanted.includes(name as never));
    if (has.length === 0 || host.read(`${parent}/cgroup.type`)?.includes('threaded')) continue;
    // To move a process there, the group that both places have in common must be writable: that is this one.
    if (!host.isWritable(parent) || !host.isWritable(`${parent}/cgroup.procs`)) continue;
    if (missingControllers(host, parent, has).length === 0 || canEnable(host, parent))
      return { version: 2, parent, controllers: has as LimitController[] };
  }
  return `no control group for ${names} is delegated to this user`;
}

/** Of `wanted`, those that the groups in a group of version 2 do not have. */
export function missingControllers(host: HostFiles, group: string, wanted: readonly string[]): string[] {
  const on = words(host.read(`${group}/cgroup.subtree_control`));
  return wanted.filter((name) => !on.includes(name));
}

/** A group that has processes of its own cannot; the root group, which has no type, can. */
function canEnable(host: HostFiles, group: string): boolean {
  if (!host.isWritable(`${group}/cgroup.subtree_control`)) return false;
  return host.read(`${group}/cgroup.type`) === undefined || host.read(`${group}/cgroup.procs`) === '';
}

/** By controller; '' is version 2. */
function memberships(text: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const line of text.split('\n')) {
    const match = /^\d+:([^:]*):(\/.*)$/.exec(line);
    if (match !== null) for (const name of match[1]!.split(',')) found.set(name, match[2]!);
  }
  return found;
}

/** Inside a container a mount shows only what is below its root; a path outside of that cannot be seen. */
function below(root: string, path: string): string {
  const rest = root === '/' ? path : path === root || path.startsWith(`${root}/`) ? path.slice(root.length) : '/';
  return rest.includes('/..') ? '' : rest.replace(/\/+$/, '');
}

/** proc(5): optional fields end with `-`. */
function readMounts(text: string): Mount[] {
  return text.split('\n').flatMap((line) => {
    const fields = line.split(' ');
    const dash = fields.indexOf('-', 6);
    const options = fields[dash + 3];
    if (dash < 0 || options === undefined) return [];
    return [{ type: fields[dash + 1]!, root: fields[3]!, point: fields[4]!, options: options.split(',') }];
  });
}

const words = (text: string | undefined): string[] => (text ?? '').split(/\s+/).filter(Boolean);
