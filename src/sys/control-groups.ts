/** Where control groups are, and which is ours. */

/** Directory of version 2, and of the controllers of version 1. */
export const CGROUP = '/sys/fs/cgroup';
export const GROUP = 'polykernel';

/** What the host kernel says of a group. */
export interface GroupState {
  path: string;
  /** By file name. */
  values: Record<string, string>;
}
