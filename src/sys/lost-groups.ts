/**
 * Control groups of jails that nobody knows any more. Which ones are made is noted in a cache before they are (group-notes.ts); when
 * whoever made them was killed and that cache has gone since, the groups are all that is left.
 */
import { type Dirent, existsSync, readdirSync, readFileSync, rmdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { CGROUP } from './control-groups.ts';

/** Paths end so of groups that LimitGroups makes, and InstanceGroups in those of the pool. */
const NAME = /\/polykernel(?:-(?:tool-)?[0-9a-f]{16,32}|\/[0-9a-f]{32})$/;
/** Milliseconds. Whoever makes a group starts something in it within seconds. */
const LEAST_AGE_MS = 3_600_000;
/** A machine of many services has some hundred groups. */
const MOST_LOOKED_AT = 20_000;

/** Those in which nothing runs and which were made an hour and more before `now`, wherever they are; a user sees and removes his own. */
export function lostGroups(now: number, root = CGROUP): string[] {
  const lost: string[] = [];
  const open = [root];
  for (let looked = 0; looked < MOST_LOOKED_AT && open.length > 0; looked += 1) {
    const parent = open.pop()!;
    for (const entry of entriesOf(parent)) {
      const path = join(parent, entry.name);
      if (!entry.isDirectory()) continue;
      if (!NAME.test(path)) open.push(path);
      else if (isLost(path, now)) lost.push(path);
    }
  }
  return lost;
}

/** Removes them; returns those that are gone. */
export function removeLostGroups(now: number, root = CGROUP): string[] {
  return lostGroups(now, root).filter((path) => {
    try {
      rmdirSync(path);
      return true;
    } catch {
      // In use after all, or somebody else's.
      return false;
    }
  });
}

function isLost(path: string, now: number): boolean {
  try {
    const { mtimeMs, uid } = statSync(path);
    const own = process.getuid?.();
    if (now - mtimeMs < LEAST_AGE_MS || (own !== 0 && uid !== own)) return false;
    // Of version 2, where threads alone may be in a group; of version 1.
    const file = join(path, existsSync(join(path, 'cgroup.threads')) ? 'cgroup.threads' : 'cgroup.procs');
    return readFileSync(file, 'latin1') === '';
  } catch {
    return false;
  }
}

function entriesOf(path: string): Dirent[] {
  try {
    return readdirSync(path, { withFileTypes: true });
  } catch {
    return [];
  }
}
