/**
 * Whose processes a kernel's are on the host: the one table of SECURITY.md, "Identity", as data. What is root in a guest
 * and in its jail is nobody on the host.
 */

/** A contiguous block of user (and group) ids of the host. */
export interface IdBlock {
  start: number;
  count: number;
}

/**
 * range: ids that only this kernel has; inside they are 0 and up. For a manager that is root.
 * subids: the caller is 0 inside, and what /etc/subuid and /etc/subgid give him is 1 and up; all his kernels share that.
 * single: the caller is 0 inside, and there are no other ids.
 */
export type Identity =
  | ({ kind: 'range' } & IdBlock)
  | { kind: 'subids'; uids: IdBlock; gids: IdBlock; newuidmap: string; newgidmap: string }
  | { kind: 'single' };

/** How many ids a kernel gets: all that an ordinary system uses. */
export const RANGE_IDS = 65_536;

/** The options of pk-cell for it. */
export function identityOptions(identity: Identity): string[] {
  switch (identity.kind) {
    case 'range':
      return ['--range', `${identity.start},${identity.count}`];
    case 'subids': {
      const { uids, gids, newuidmap, newgidmap } = identity;
      return ['--subids', [newuidmap, newgidmap, uids.start, uids.count, gids.start, gids.count].join(',')];
    }
    case 'single':
      return ['--single'];
  }
}
