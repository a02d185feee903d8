/** Unpacked archives that earlier versions left in the cache: nobody makes or uses them any more. */
import { readdirSync, readFileSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

const TREE = /^[0-9a-f]{64}(?:\.partial)?$/;

/** Removes them from `store`, but for those that a kernel which is still running has as its root. */
export async function removeTrees(store: string): Promise<void> {
  const entries = await readdir(store, { withFileTypes: true });
  const trees = entries.filter((entry) => entry.isDirectory() && TREE.test(entry.name)).map(({ name }) => name);
  if (trees.length === 0) return;
  const mounted = mounts();
  const unused = trees.filter((name) => !mounted.some((text) => text.includes(name)));
  for (const name of unused) await rm(join(store, name), { recursive: true, force: true });
}

/** The mounts of every process, as text, in which a jail's root stands by its path on the host. */
export function mounts(): string[] {
  return readdirSync('/proc').flatMap((pid) => {
    try {
      return /^\d+$/.test(pid) ? readFileSync(`/proc/${pid}/mountinfo`, 'utf8') : [];
    } catch {
      // Ended meanwhile, or another user's, who does not use this cache.
      return [];
    }
  });
}
