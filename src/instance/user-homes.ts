/**
 * The state directories of one ordinary user's daemons, each of which notes its own below the user's default one, so that kernels
 * of the others are not shown it. Root's stand in the registry of ids (id-registry.ts).
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { defaultHome } from '../sys/paths.ts';
import { STATE, takePlace } from '../sys/places.ts';

const DIRECTORY = 'homes';

/** For a daemon of `home`: those of the others, each time it is asked. `all`: where the user has his state by default. */
export function userHomes(home: string, all: string | null = defaultOrNone()): () => string[] {
  const others = () => {
    if (all === null) return [];
    return [...new Set([all, ...noted(all, home)])].filter((each) => each !== home);
  };
  // The others are to know it from now on.
  others();
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
    return readNotes(directory).map(({ path }) => path);
  } catch {
    return [];
  }
}

/** Those that are gone make room for a new one. */
function note(directory: string, home: string): void {
  const file = join(directory, createHash('sha256').update(home).digest('hex'));
  if (existsSync(file)) return;
  for (const { file, path } of readNotes(directory)) if (!existsSync(path)) rmSync(file, { force: true });
  // By rename: another one may be reading.
  writeFileSync(`${file}.${process.pid}`, home, { mode: 0o600 });
  renameSync(`${file}.${process.pid}`, file);
}

function readNotes(directory: string): { file: string; path: string }[] {
  const names = readdirSync(directory).filter((name) => /^[0-9a-f]{64}$/.test(name));
  return names.flatMap((name) => {
    const file = join(directory, name);
    try {
      const path = readFileSync(file, 'utf8');
      return path.startsWith('/') ? [{ file, path }] : [];
    } catch {
      // Another daemon has removed it.
      return [];
    }
  });
}
