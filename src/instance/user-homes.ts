/**
 * The state directories of one ordinary user's daemons, each of which notes its own below the user's default one, so that kernels
 * of the others are not shown it. Root's stand in the registry of ids (id-registry.ts).
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { defaultHome } from '../sys/paths.ts';
import { goneOf } from '../sys/patience.ts';
import { STATE, takePlace } from '../sys/places.ts';
import { finishedFiles, replaceFile } from '../sys/replace-file.ts';
import { ownView, seesAs, type View, viewText } from '../sys/view.ts';

const DIRECTORY = 'homes';

/** Of other state directories: a start of a daemon waits for them. */
const PATIENCE_MS = 2000;

/**
 * For a daemon of `home`: those of the others, each time it is asked; what is gone by now is no longer noted. `all`: where the user has
 * his state by default.
 */
export async function userHomes(
  home: string,
  all: string | null = defaultOrNone(),
  view: View = ownView(),
): Promise<() => string[]> {
  const others = () => {
    if (all === null) return [];
    return [...new Set([all, ...noted(all, home, view)])].filter((each) => each !== home);
  };
  // The others are to know it from now on.
  const gone = await goneOf(others(), PATIENCE_MS);
  if (all !== null) for (const path of gone) forget(noteOf(join(all, DIRECTORY), path), view);
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
function noted(all: string, home: string, view: View): string[] {
  try {
    const directory = join(all, DIRECTORY);
    mkdirSync(all, { recursive: true, mode: 0o700 });
    takePlace(all, STATE);
    takePlace(directory, STATE);
    if (home !== all) note(directory, home, view);
    return readNotes(directory);
  } catch {
    return [];
  }
}

const noteOf = (directory: string, home: string): string =>
  join(directory, createHash('sha256').update(home).digest('hex'));

/** Beside a note: who has seen that directory last. */
const viewOf = (note: string): string => `${note}.view`;

function note(directory: string, home: string, view: View): void {
  const file = noteOf(directory, home);
  if (readText(viewOf(file)) !== viewText(view)) replaceFile(viewOf(file), viewText(view));
  if (!existsSync(file)) replaceFile(file, home);
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    // There is none, or another daemon has removed it.
    return '';
  }
}

function forget(note: string, view: View): void {
  if (!seesAs(view, readText(viewOf(note)))) return;
  for (const file of [note, viewOf(note)]) rmSync(file, { force: true });
}

function readNotes(directory: string): string[] {
  const names = finishedFiles(directory).filter((name) => /^[0-9a-f]{64}$/.test(name));
  return names.map((name) => readText(join(directory, name))).filter((path) => path.startsWith('/'));
}
