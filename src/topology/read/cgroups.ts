/** Where a process's control groups are in the file system: cgroups(7), proc(5) on mountinfo. */
import type { MachineFiles } from './files.ts';
import { type Mount, readMounts } from './mounts.ts';

/** `unseen`: there may be limits, but the files of the group cannot be found. null: the kernel has no such controller. */
export type Hierarchy =
  | { version: 1 | 2 /** Directories: the group itself, then those above it. */; groups: string[] }
  | 'unseen'
  | null;

export interface ControlGroups {
  cpuset: Hierarchy;
  memory: Hierarchy;
}

export function controlGroups(files: MachineFiles): ControlGroups {
  const lines = files.text('proc/self/cgroup')?.split('\n');
  if (lines === undefined) return { cpuset: 'unseen', memory: 'unseen' };
  const memberships = lines.flatMap((line) => {
    const match = /^\d+:([^:]*):(\/.*)$/.exec(line);
    return match === null ? [] : [{ controllers: match[1]!.split(','), path: match[2]! }];
  });
  const mounts = readMounts(files);
  const find = (controller: string): Hierarchy => {
    // A controller is in one hierarchy only; v2 has all that no v1 hierarchy took, and its line names none.
    const own =
      memberships.find(({ controllers }) => controllers.includes(controller)) ??
      memberships.find(({ controllers }) => controllers[0] === '');
    if (own === undefined) return null;
    const version = own.controllers[0] === '' ? 2 : 1;
    return hierarchy(files, version, controller, own.path, mounts) ?? 'unseen';
  };
  return { cpuset: find('cpuset'), memory: find('memory') };
}

function hierarchy(
  files: MachineFiles,
  version: 1 | 2,
  controller: string,
  path: string,
  mounts: readonly Mount[],
): Hierarchy | undefined {
  const mount = mounts.find(({ type, options }) =>
    version === 2 ? type === 'cgroup2' : type === 'cgroup' && options.includes(controller),
  );
  const standard = version === 2 ? 'sys/fs/cgroup' : `sys/fs/cgroup/${controller}`;
  const top = (mount?.point ?? `/${standard}`).slice(1);
  if (files.names(top).length === 0) return undefined;
  // Inside a container the mount shows only what is below its root; a path outside of that cannot be seen.
  const root = mount === undefined || mount.root === '/' ? '' : mount.root;
  const below = path === root || path.startsWith(`${root}/`) ? path.slice(root.length) : '';
  const parts = below.split('/').filter((part) => part !== '' && part !== '..');
  const groups = parts.map((_, index) => [top, ...parts.slice(0, parts.length - index)].join('/'));
  return { version, groups: [...groups, top] };
}
