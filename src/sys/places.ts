/**
 * The directories that are ours alone: state and cache. What lies in them is believed and run, so nobody else may be able to
 * put it there, now or before: each directory on the way must belong to root or to us and be writable by nobody else, sticky
 * ones (/tmp) excepted, in which others cannot touch what is ours.
 */
import type { Stats } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { asPolykernelError, PolykernelError } from './errors.ts';
import { ownShortDirectory } from './paths.ts';

// Not by `import`: see src/sys/node.ts.
const { chmodSync, closeSync, lstatSync, mkdirSync, openSync, readdirSync, readlinkSync } =
  process.getBuiltinModule('node:fs');

const MOST_LINKS = 40;
const STICKY = 0o1000;
const OTHERS_WRITE = 0o022;

/** What a place is called in errors, and the variable that moves it. */
export interface PlaceKind {
  name: string;
  variable: 'POLYKERNEL_HOME' | 'POLYKERNEL_CACHE';
  /** One to propose. */
  example(): string;
}

export const STATE: PlaceKind = { name: 'state directory', variable: 'POLYKERNEL_HOME', example: ownShortDirectory };
export const CACHE: PlaceKind = {
  name: 'cache directory',
  variable: 'POLYKERNEL_CACHE',
  example: () => (process.getuid?.() === 0 ? '/var/cache/polykernel' : '~/.cache/polykernel'),
};

/**
 * Makes the directory where it is not, mode 0700, takes everybody else's rights from what lies directly in it, and throws
 * `permission` naming path, owner, mode and remedy where somebody else could have put something there.
 */
export function takePlace(path: string, kind: PlaceKind): void {
  try {
    const place = walk(path, kind, true)!;
    checkOwn(place.path, place.status, path, kind);
    if ((place.status.mode & 0o7777) !== 0o700) chmodSync(place.path, 0o700);
    for (const name of readdirSync(place.path)) takeEntry(join(place.path, name), path, kind);
  } catch (error) {
    throw asPolykernelError(error, `taking the ${kind.name} ${path}`);
  }
}

/**
 * For who is about to send secrets to a socket in such a place: throws `permission` unless nobody but root and this user can
 * have put it there. So its owner is who listens, and no other process can take its place before the connection is made. False: it
 * is not there, and not to be connected to: in /tmp somebody else may make one at any time.
 */
export function checkSocket(path: string, kind: PlaceKind): boolean {
  try {
    const place = walk(dirname(path), kind, false);
    if (place === undefined) return false;
    checkParent(place.path, place.status, dirname(path), kind);
    const status = lstatSync(path, { throwIfNoEntry: false });
    if (status === undefined) return false;
    if (!status.isSocket()) throw refusal(dirname(path), kind, `${path} is no socket`, path);
    if (!isTrusted(status.uid) || (place.status.mode & OTHERS_WRITE) !== 0)
      throw refusal(dirname(path), kind, `${path}${by(status)}, who would read what is sent there`, path);
    return true;
  } catch (error) {
    // Connecting will fail likewise, and tell more.
    if ((error as NodeJS.ErrnoException).code === 'EACCES') return true;
    throw asPolykernelError(error, `looking at ${path}`);
  }
}

/**
 * Makes a file of mode 0600 where there is none, for a library that would make it by itself. SQLite gives its other files the
 * mode of the database. One that is there is not opened: closing it would drop SQLite's locks of this process.
 */
export function makeFile(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    chmodSync(path, 0o600);
  }
}

interface Place {
  /** Without links. */
  path: string;
  status: Stats;
}

/** From / down, link by link. Undefined: not there, and not to be made. */
function walk(path: string, kind: PlaceKind, make: boolean): Place | undefined {
  let at: Place = { path: '/', status: lstatSync('/') };
  const rest = resolve(path).split('/').filter(Boolean);
  for (let links = 0; rest.length > 0; ) {
    checkParent(at.path, at.status, path, kind);
    const name = rest.shift()!;
    if (name === '..') {
      const above = dirname(at.path);
      at = { path: above, status: lstatSync(above) };
      continue;
    }
    const next = join(at.path, name);
    const status = lstatSync(next, { throwIfNoEntry: false }) ?? (make ? made(next) : undefined);
    if (status === undefined) return undefined;
    // In a directory in which anybody may make files, a link may be anybody's: even one of ours, by a hard link.
    const isShared = (at.status.mode & OTHERS_WRITE) !== 0;
    if (status.isSymbolicLink()) {
      if (isShared || !isTrusted(status.uid))
        throw refusal(path, kind, `${next} is a symbolic link that${by(status)}`, next);
      if (++links > MOST_LINKS) throw refusal(path, kind, `${next} leads in a circle`, next);
      const target = readlinkSync(next);
      if (target.startsWith('/')) at = { path: '/', status: lstatSync('/') };
      rest.unshift(...target.split('/').filter((part) => part !== '' && part !== '.'));
      continue;
    }
    if (!status.isDirectory()) throw refusal(path, kind, `${next} is no directory`, next);
    at = { path: next, status };
  }
  return at;
}

function made(path: string): Stats {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    // Another process was faster: what it made is looked at as everything else.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  return lstatSync(path);
}

function checkParent(path: string, status: Stats, place: string, kind: PlaceKind): void {
  if (!isTrusted(status.uid))
    throw refusal(place, kind, `${path}${by(status)}, who can exchange what lies in it`, path);
  if ((status.mode & OTHERS_WRITE) === 0 || (status.mode & STICKY) !== 0) return;
  throw refusal(place, kind, `others may write to ${path}${by(status)}`, path, `chmod go-w ${path}`);
}

function checkOwn(path: string, status: Stats, place: string, kind: PlaceKind): void {
  if (status.uid !== (process.getuid?.() ?? -1)) throw refusal(place, kind, `${path}${by(status)}, not ours`, path);
  if ((status.mode & OTHERS_WRITE) === 0) return;
  const remedy = (status.mode & STICKY) === 0 ? `chmod 700 ${path}` : undefined;
  throw refusal(place, kind, `others may write to ${path}${by(status)}`, path, remedy);
}

function takeEntry(path: string, place: string, kind: PlaceKind): void {
  // Files come and go.
  const status = lstatSync(path, { throwIfNoEntry: false });
  if (status === undefined) return;
  if (status.isSymbolicLink()) throw refusal(place, kind, `${path} is a symbolic link`, path, `rm ${path}`);
  if (status.uid !== process.getuid?.()) throw refusal(place, kind, `${path}${by(status)}, not ours`, path);
  if ((status.mode & 0o7077) === 0) return;
  // What others could write to, they may have written to.
  if (status.isDirectory() && (status.mode & OTHERS_WRITE) !== 0)
    throw refusal(place, kind, `others may write to ${path}${by(status)}`, path, `chmod 700 ${path}`);
  try {
    chmodSync(path, status.mode & 0o700);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

/** Root may do everything anyway. */
export const isTrusted = (uid: number): boolean => uid === 0 || uid === process.getuid?.();
const owner = ({ uid }: Stats): string => (uid === 0 ? 'root' : `uid ${uid}`);
const by = (status: Stats): string =>
  ` belongs to ${owner(status)} (mode ${(status.mode & 0o7777).toString(8).padStart(4, '0')})`;

function refusal(place: string, { name, variable, example }: PlaceKind, fault: string, value: string, remedy?: string) {
  const own = `set ${variable} to a directory of your own, such as ${example()}`;
  return new PolykernelError('permission', `the ${name} ${place} is not used: ${fault}`, {
    field: variable,
    value,
    hint:
      remedy === undefined
        ? `${own[0]!.toUpperCase()}${own.slice(1)}.`
        : `Run \`${remedy}\` after a look at what lies there, or ${own}.`,
  });
}
