/** What the jail must know of the host: which paths to hide, which libraries a program needs. */
import { readFileSync, realpathSync, statSync } from 'node:fs';
import { realpath, stat } from 'node:fs/promises';
import { libraryFiles } from '../../sys/libraries.ts';
import { cacheDirectory, home } from '../../sys/paths.ts';
import { patiently } from '../../sys/patience.ts';
import type { LaunchSpec } from '../driver.ts';
import type { Bind, Cover } from './jail.ts';
import { kernelInterfaces, otherPlaces, parseMounts } from './other-mounts.ts';

/** Places of control sockets and of the host kernel's own interfaces. */
const ALWAYS_HIDDEN = ['/proc', '/sys', '/dev', '/run', '/var/run'];
/** Of the ids of kernels: src/instance/id-registry.ts. */
const REGISTRY_DIRECTORY = '/var/lib/polykernel-ids';
/** Where everybody may put something. */
const TEMPORARY = ['/tmp', '/var/tmp'];
const INTERFACE_PATIENCE_MS = 3000;
const HOME_PATIENCE_MS = 5000;

/**
 * What a `host` root must not show: kernel interfaces, control sockets, Polykernel's own directories, and `more`.
 * Symbolic links are followed to what they hide; what does not exist needs no hiding. Wherever else these are mounted they
 * are hidden too, and so are all mounts of kernel interfaces. Rejects as patiently().
 */
export async function hostCovers(more: readonly string[] = []): Promise<Cover[]> {
  // Without these the machine and this daemon do nothing either: a look at each costs less than asking for a thread.
  const own = [...ALWAYS_HIDDEN, ...TEMPORARY, home(), cacheDirectory()];
  const looks = own.map((path) => ({ path, place: lookNow(path) }));
  for (const path of new Set(more)) {
    if (!own.includes(path)) looks.push({ path, place: await patiently(path, () => lookAt(path)) });
  }
  const covers = new Map<string, Cover>();
  for (const { path, place } of looks) {
    if (place === undefined || place.path === '/') continue;
    covers.set(place.path, { ...place, ...(TEMPORARY.includes(path) && { isTemporary: true }) });
  }
  for (const cover of await elsewhere([...covers.keys()])) if (!covers.has(cover.path)) covers.set(cover.path, cover);
  return [...covers.values()];
}

/** Those of /tmp and /var/tmp that this machine has, and under these names: not where a link leads. */
export const temporaryDirectories = (): string[] => TEMPORARY.filter((path) => lookNow(path)?.path === path);

let lastElsewhere: { of: string; covers: Cover[] } | undefined;

/**
 * Where else `paths` are mounted, and the mounts of kernel interfaces: the same until a mount or a directory above one
 * changes. What this user cannot reach he may reach later, so it is looked for each time.
 */
async function elsewhere(paths: readonly string[]): Promise<Cover[]> {
  const text = readFileSync('/proc/self/mountinfo', 'utf8');
  const of = [...paths, text].join('\0');
  if (lastElsewhere?.of === of) return lastElsewhere.covers;
  const mounts = parseMounts(text);
  const looks = [
    // One that lies in what does not answer is left to pk-cell, which hides all of them as well.
    ...kernelInterfaces(mounts).map((path) =>
      patiently(path, () => visible(path), INTERFACE_PATIENCE_MS).catch(() => undefined),
    ),
    ...otherPlaces(paths, mounts).map((path) => patiently(path, () => visible(path))),
  ];
  const covers = (await Promise.all(looks)).filter((cover) => cover !== undefined);
  lastElsewhere = covers.length === looks.length ? { of, covers } : undefined;
  return covers;
}

/**
 * Polykernel's own directories: other kernels' secrets, in `homes` too, and the programs that all of them are started with. None where
 * the jail shows no directory that could hold one. Rejects as patiently(): what is not known cannot be hidden.
 */
export async function ownPlaces({
  root,
  volumes,
  homes = [],
}: Pick<LaunchSpec, 'root' | 'volumes' | 'homes'>): Promise<string[]> {
  if (volumes.length === 0 && root.kind !== 'host' && root.kind !== 'directory') return [];
  const own = [home(), cacheDirectory(), REGISTRY_DIRECTORY].map((path) => lookNow(path)?.path);
  // Those of other daemons may lie on a file server that is dead.
  const others = homes.map(async (path) => (await patiently(path, () => lookAt(path), HOME_PATIENCE_MS))?.path);
  return [...own, ...(await Promise.all(others))].filter((path) => path !== undefined);
}

/** lookAt() for paths that are sure to answer. */
function lookNow(path: string): Cover | undefined {
  try {
    const real = realpathSync.native(path);
    return { path: real, kind: statSync(real).isDirectory() ? 'directory' : 'file' };
  } catch {
    return undefined;
  }
}

/** What a path leads to; undefined where there is nothing. */
async function lookAt(path: string): Promise<Cover | undefined> {
  try {
    const real = await realpath(path);
    return { path: real, kind: (await stat(real)).isDirectory() ? 'directory' : 'file' };
  } catch {
    return undefined;
  }
}

/** undefined for a mount that another one hides, or that this user cannot reach. */
async function visible(path: string): Promise<Cover | undefined> {
  const place = await lookAt(path);
  return path === '/' || place?.path !== path ? undefined : place;
}

/**
 * Binds of the shared libraries and the loader that a program needs, at the paths where it looks for them; none for a
 * static program. `libraryPath` is searched first, as LD_LIBRARY_PATH. Nothing is run: the program may be hostile.
 * Throws `invalid` when it is damaged or asks for an unknown loader, `unavailable` when a library is nowhere.
 */
export async function libraryBinds(program: string, libraryPath?: string): Promise<Bind[]> {
  return libraryFiles(program, libraryPath).map(({ path, real }) => ({ source: real, target: path, access: 'read' }));
}
