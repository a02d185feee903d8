/**
 * The state directories of one ordinary user's daemons, each of which notes its own below the user's default one, so that kernels
 * of the others are not shown it. Root's stand in the registry of ids (id-registry.ts).
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { defaultHome } from '../sys/paths.ts';
import { goneOf } from '../sys/patience.ts';
import { STATE, takePlace } from '../sys/places.ts';

const DIRECTORY = 'homes';

/** Of other state directories: a start of a daemon waits for them. */
const PATIENCE_MS = 2000;

/**
 * For a daemon of `home`: those of the others, each time it is asked; what is gone by now is no longer noted. `all`: where the user has
 * his state by default.
 */
export async function userHomes(home: string, all: string | null = defaultOrNone()): Promise<() => string[]> {
  const others = () => {
    if (all === null) return [];
    return [...new Set([all, ...noted(all, home)])].filter((each) => each !== home);
  };
  // The others are to know it from now on.
  const gone = await goneOf(others(), PATIENCE_MS);
  if (all !== null) for (const path of gone) rmSync(noteOf(join(all, DIRECTORY), path), { force: true });
  return others;
}

/** Users without a home directory have none. */
function defaultOrNone(): string | null {
  try {
    return defaultHome();
  } catch {
    return null;
  }
}

/** Notes `home`, and gives all that are noted: none where others could have put something there, or there is no room. */
function noted(all: string, home: string): string[] {
  try {
    const directory = join(all, DIRECTORY);
    mkdirSync(all, { recursive: true, mode: 0o700 });
    takePlace(all, STATE);
    takePlace(directory, STATE);
    if (home !== all) note(directory, home);
    return readNotes(directory);
  } catch {
    return [];
  }
}

const noteOf = (directory: string, home: string): string =>
  join(directory, createHash('sha256').update(home).digest('hex'));

function note(directory: string, home: string): void {
  const file = noteOf(directory, home);
  if (existsSync(file)) return;
  // By rename: another one may be reading.
  writeFileSync(`${file}.${process.pid}`, home, { mode: 0o600 });
  renameSync(`${file}.${process.pid}`, file);
}

function readNotes(directory: string): string[] {
  const names = readdirSync(directory).filter((name) => /^[0-9a-f]{64}$/.test(name));
  return names.flatMap((name) => {
    try {
      const path = readFileSync(join(directory, name), 'utf8');
      return path.startsWith('/') ? [path] : [];
    } catch {
      // Another daemon has removed it.
      return [];
    }
  });
}
