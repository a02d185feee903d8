/** What an earlier daemon left below instances/ that belongs to no record, and the note in each directory of whose launch it was. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Driver, LaunchSpec } from '../driver/index.ts';
import type { Layout } from '../sys/paths.ts';
import { removeTree } from '../sys/remove-tree.ts';

const LAUNCH_FILE = 'launch.json';

export interface Leftover {
  directory: string;
  /** Undefined where the note is not there, or damaged. */
  owner: { id: string; name: string } | undefined;
}

/** For a later daemon that finds this directory and no record of it. */
export function noteLaunch(directory: string, driver: string, launch: LaunchSpec): void {
  writeFileSync(join(directory, LAUNCH_FILE), JSON.stringify({ driver, launch }), { mode: 0o600 });
}

/** All but the directories of these names. */
export function findLeftovers(paths: Layout, known: ReadonlySet<string>): Leftover[] {
  const entries = existsSync(paths.instances) ? readdirSync(paths.instances) : [];
  return entries
    .filter((entry) => !known.has(entry))
    .map((entry) => {
      const directory = paths.instance(entry);
      return { directory, owner: readOwner(directory) };
    });
}

/** Ends its kernel, whoever started that. Rejects while something of it is not proven to be gone. */
export async function endLeftover({ directory, owner }: Leftover, drivers: readonly Driver[]): Promise<void> {
  for (const driver of drivers) await driver.destroy(join(directory, 'kernel'), owner?.id);
}

/** Once it is ended. */
export const removeLeftover = ({ directory }: Leftover): Promise<void> => removeTree(directory);

function readOwner(directory: string): Leftover['owner'] {
  try {
    const { launch } = JSON.parse(readFileSync(join(directory, LAUNCH_FILE), 'utf8')) as {
      launch?: Partial<LaunchSpec>;
    };
    const { id, name } = launch ?? {};
    return typeof id === 'string' && typeof name === 'string' ? { id, name } : undefined;
  } catch {
    return undefined;
  }
}
