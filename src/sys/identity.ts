/**
 * Whose processes a kernel's are on the host: the one table of SECURITY.md, "Identity", as data. What is root in a guest
 * and in its jail is nobody on the host.
 */
import { readFileSync, statSync } from 'node:fs';
import { userInfo } from 'node:os';
import { nativeBinary } from './paths.ts';
import { run } from './process.ts';
import { findTool } from './tools.ts';

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

const TRIAL_DEADLINE_MS = 10_000;

/** An ordinary user's: with more than one id where that really works. */
export async function userIdentity(): Promise<Identity> {
  const wanted = subordinateIds();
  if (wanted === undefined) return { kind: 'single' };
  try {
    const trial = [nativeBinary('pk-cell'), ...identityOptions(wanted), '--', '/bin/true'];
    const { code } = await run(trial, { deadlineMs: TRIAL_DEADLINE_MS });
    return code === 0 ? wanted : { kind: 'single' };
  } catch {
    return { kind: 'single' };
  }
}

/** What the system gives this user, and the programs that map it; undefined where there is none. */
function subordinateIds(): Extract<Identity, { kind: 'subids' }> | undefined {
  const [newuidmap, newgidmap] = ['newuidmap', 'newgidmap'].map((name) => findTool(name)?.path);
  if (newuidmap === undefined || newgidmap === undefined) return undefined;
  const names = subidOwners(userInfo);
  const [uids, gids] = ['/etc/subuid', '/etc/subgid'].map((file) => largestBlock(readSubids(file), names));
  return uids && gids && { kind: 'subids', uids, gids, newuidmap, newgidmap };
}

/** What files of subordinate ids call the caller: by his number alone where the system has no name for it, as in many containers. */
export function subidOwners(info: () => { username: string }): string[] {
  const uid = String(process.getuid!());
  try {
    return [info().username, uid];
  } catch {
    return [uid];
  }
}

/** More than these an ordinary system does not use: 0 is the caller. */
const MOST_SUBIDS = 65_535;

function largestBlock(all: readonly (IdBlock & { owner: string })[], names: readonly string[]): IdBlock | undefined {
  const mine = all.filter(({ owner }) => names.includes(owner)).sort((a, b) => b.count - a.count)[0];
  return mine && { start: mine.start, count: Math.min(mine.count, MOST_SUBIDS) };
}

/** subuid(5): `user:start:count` a line. Lines that say something else are passed over. */
export function parseSubids(text: string): (IdBlock & { owner: string })[] {
  return text.split('\n').flatMap((line) => {
    const match = /^([^:#\s]+):(\d{1,10}):(\d{1,10})$/.exec(line.trim());
    return match === null ? [] : [{ owner: match[1]!, start: Number(match[2]), count: Number(match[3]) }];
  });
}

/** Of a file that is there; none otherwise. */
export function readSubids(file: string): (IdBlock & { owner: string })[] {
  try {
    return statSync(file).size > 2 ** 20 ? [] : parseSubids(readFileSync(file, 'utf8'));
  } catch {
    return [];
  }
}
