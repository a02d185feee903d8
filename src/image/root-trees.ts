/** Unpacked archives that earlier versions left in the cache: nobody makes or uses them any more. */
import { readdirSync, readFileSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hostBootId } from '../sys/host-boot.ts';

const TREE = /^[0-9a-f]{64}(?:\.partial)?$/;
/** Holds the boot of the host in which they were first seen. */
const SEEN = 'trees';

/**
 * Removes them from `store` once the host has booted anew since they were first seen: until then a kernel that such a version
 * started may have one as its root, and has no lease that would say so.
 */
export async function removeTrees(store: string, boot: string = hostBootId()): Promise<void> {
  const entries = readdirSync(store, { withFileTypes: true });
  const trees = entries.filter((entry) => entry.isDirectory() && TREE.test(entry.name)).map(({ name }) => name);
  if (trees.length === 0) return;
  const note = join(store, SEEN);
  const seen = read(note);
  if (seen === boot) return;
  if (seen === undefined) return await writeFile(note, boot, { mode: 0o600 });
  for (const name of trees) await rm(join(store, name), { recursive: true, force: true });
  await rm(note, { force: true });
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
