/** What the jail must know of the host: which paths to hide, which libraries a program needs. */
import { readFileSync, realpathSync, statSync } from 'node:fs';
import { libraryFiles } from '../../sys/libraries.ts';
import { cacheDirectory, home } from '../../sys/paths.ts';
import type { Bind, Cover } from './jail.ts';
import { otherPlaces, parseMounts } from './other-mounts.ts';

/** Places of control sockets and of the host kernel's own interfaces. */
const ALWAYS_HIDDEN = ['/proc', '/sys', '/dev', '/run', '/var/run'];
/** Of the ids of kernels: src/instance/id-registry.ts. */
const REGISTRY_DIRECTORY = '/var/lib/polykernel-ids';
/** Where everybody may put something. */
const TEMPORARY = ['/tmp', '/var/tmp'];

/**
 * What a `host` root must not show: kernel interfaces, control sockets, Polykernel's own directories, and `more`.
 * Symbolic links are followed to what they hide; what does not exist needs no hiding. Wherever else these are mounted they
 * are hidden too, and so are all mounts of kernel interfaces.
 */
export function hostCovers(more: readonly string[] = []): Cover[] {
  const covers = new Map<string, Cover>();
  for (const path of [...ALWAYS_HIDDEN, ...TEMPORARY, home(), cacheDirectory(), ...more]) {
    try {
      const real = realpathSync(path);
      if (real === '/') continue;
      const kind = statSync(real).isDirectory() ? 'directory' : 'file';
      covers.set(real, { path: real, kind, ...(TEMPORARY.includes(path) && { isTemporary: true }) });
    } catch {
      // Not there.
    }
  }
  for (const cover of elsewhere([...covers.keys()])) if (!covers.has(cover.path)) covers.set(cover.path, cover);
  return [...covers.values()];
}

let lastElsewhere: { of: string; covers: Cover[] } | undefined;

/**
 * Where else `paths` are mounted, and the mounts of kernel interfaces: the same until a mount or a directory above one
 * changes. What this user cannot reach he may reach later, so it is looked for each time.
 */
function elsewhere(paths: readonly string[]): Cover[] {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8');
  const of = [...paths, mounts].join('\0');
  if (lastElsewhere?.of === of) return lastElsewhere.covers;
  const places = otherPlaces(paths, parseMounts(mounts));
  const covers = places.flatMap((path) => {
    const kind = visibleKind(path);
    return kind === undefined ? [] : [{ path, kind }];
  });
  lastElsewhere = covers.length === places.length ? { of, covers } : undefined;
  return covers;
}

/** Polykernel's own directories: other kernels' secrets, in `homes` too, and the programs that all of them are started with. */
export function ownPlaces(homes: readonly string[] = []): string[] {
  return [home(), ...homes, cacheDirectory(), REGISTRY_DIRECTORY].flatMap((path) => {
    try {
      return [realpathSync(path)];
    } catch {
      return [];
    }
  });
}

/** undefined for a mount that another one hides, or that this user cannot reach. */
function visibleKind(path: string): Cover['kind'] | undefined {
  try {
    if (path === '/' || realpathSync(path) !== path) return undefined;
    return statSync(path).isDirectory() ? 'directory' : 'file';
  } catch {
    return undefined;
  }
}

/**
 * Binds of the shared libraries and the loader that a program needs, at the paths where it looks for them; none for a
 * static program. `libraryPath` is searched first, as LD_LIBRARY_PATH. Nothing is run: the program may be hostile.
 * Throws `invalid` when it is damaged or asks for an unknown loader, `unavailable` when a library is nowhere.
 */
export async function libraryBinds(program: string, libraryPath?: string): Promise<Bind[]> {
  return libraryFiles(program, libraryPath).map(({ path, real }) => ({ source: real, target: path, access: 'read' }));
}
