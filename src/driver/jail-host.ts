/** What the jail must know of the host: which paths to hide, which libraries a program needs. */
import { realpathSync, statSync } from 'node:fs';
import { cacheDirectory, home } from '../sys/paths.ts';
import { run } from '../sys/process.ts';
import type { Bind, Cover } from './jail.ts';

/** Places of control sockets and of the host kernel's own interfaces. */
const ALWAYS_HIDDEN = ['/proc', '/sys', '/dev', '/run', '/var/run'];

/**
 * What a `host` root must not show: kernel interfaces, control sockets, Polykernel's own directories, and `more`.
 * Symbolic links are followed to what they hide; what does not exist needs no hiding.
 */
export function hostCovers(more: readonly string[] = []): Cover[] {
  const covers = new Map<string, Cover>();
  for (const path of [...ALWAYS_HIDDEN, home(), cacheDirectory(), ...more]) {
    try {
      const real = realpathSync(path);
      if (real === '/') continue;
      covers.set(real, { path: real, kind: statSync(real).isDirectory() ? 'directory' : 'file' });
    } catch {
      // Not there.
    }
  }
  return [...covers.values()];
}

/**
 * Binds of the shared libraries and the loader that a program needs, at the paths where it looks for them; none for a
 * static program. `libraryPath` is searched first, as LD_LIBRARY_PATH.
 */
export async function libraryBinds(program: string, libraryPath?: string): Promise<Bind[]> {
  const env = { LD_LIBRARY_PATH: libraryPath };
  const listing = await run(['ldd', program], { deadlineMs: 10_000, env });
  if (listing.code !== 0) return [];
  return parseLibraries(listing.stdout).map((path) => ({ source: realpathSync(path), target: path, access: 'read' }));
}

/** Absolute paths out of what ldd prints. */
export function parseLibraries(listing: string): string[] {
  const paths = new Set<string>();
  for (const line of listing.split('\n')) {
    const path = /^\s+(?:\S+ => )?(\/.+) \(0x[0-9a-f]+\)$/.exec(line)?.[1];
    if (path !== undefined) paths.add(path);
  }
  return [...paths];
}
