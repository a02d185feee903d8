/** Where control groups are, which is ours, and what is done with any of them. */
import { errnoOf, type HostFiles } from './host-files.ts';

/** Directory of version 2, and of the controllers of version 1. */
export const CGROUP = '/sys/fs/cgroup';
export const GROUP = 'polykernel';

/** What the host kernel says of a group. */
export interface GroupState {
  path: string;
  /** By file name. */
  values: Record<string, string>;
}

/** What the host kernel says now in those of `files` that the group has; nothing where it has none. */
export function groupState(host: HostFiles, path: string, files: readonly string[]): GroupState[] {
  const values = files.flatMap((file) => {
    const value = host.read(`${path}/${file}`);
    return value === undefined ? [] : [[file, value] as const];
  });
  return values.length === 0 ? [] : [{ path, values: Object.fromEntries(values) }];
}

/** Removes a group; false when something runs in it. */
export function removeGroup(host: HostFiles, path: string): boolean {
  try {
    host.removeDirectory(path);
    return true;
  } catch (error) {
    return !['EBUSY', 'ENOTEMPTY'].includes(errnoOf(error));
  }
}
