/**
 * Finds the shared libraries of a program without running anything. They come from the directories of the system and
 * from those the caller names, never from where the program itself says (RPATH, RUNPATH, DT_AUDIT): it may be hostile.
 */
import { closeSync, realpathSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type ElfLinks, readLinks } from './elf-links.ts';
import { PolykernelError } from './errors.ts';
import { openRegular, readerOf } from './read-at.ts';

export interface LibraryFile {
  /** Where the loader looks for it. */
  path: string;
  /** The file itself, no symbolic link in it. */
  real: string;
}

/** By e_machine: the loader of the C library, and where it looks when nobody tells it more (ld.so(8)). */
const PLATFORMS: Readonly<Record<number, { loader: string; directories: readonly string[] }>> = {
  62: { loader: '/lib64/ld-linux-x86-64.so.2', directories: directoriesOf('x86_64-linux-gnu') },
  183: { loader: '/lib/ld-linux-aarch64.so.1', directories: directoriesOf('aarch64-linux-gnu') },
};
const MAX_LIBRARIES = 512;

function directoriesOf(triplet: string): string[] {
  return [`/lib/${triplet}`, `/usr/lib/${triplet}`, '/lib64', '/usr/lib64', '/lib', '/usr/lib'];
}

/**
 * The loader and all libraries that `program` needs, directly and through each other; none for a static program or a
 * script. `libraryPath`, directories between colons, is searched first; `loads` names those it asks for while it runs.
 * Throws `invalid` when it asks for another loader or is damaged, `unavailable` when a library is nowhere.
 */
export function libraryFiles(program: string, libraryPath?: string, loads: readonly string[] = []): LibraryFile[] {
  const links = linksOf(program);
  if (links?.interpreter === undefined) return [];
  const platform = PLATFORMS[links.machine];
  if (platform === undefined || links.interpreter !== platform.loader) throw foreignLoader(program, links.interpreter);
  const given = (libraryPath ?? '').split(':').filter((path) => path.startsWith('/'));
  const system = platform.directories.filter(isOwnedBySystem);
  const search = (name: string) => locate(name, links.machine, given, system);
  const found = new Map<string, LibraryFile>();
  const queue = [links, { ...links, needed: loads }];
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    for (const name of next.needed) {
      // Found as the interpreter, whatever directory it lies in.
      if (found.has(name) || name === basename(platform.loader)) continue;
      const library = search(name);
      if (library === undefined) throw missing(program, name);
      found.set(name, library.file);
      queue.push(library.links);
      if (found.size > MAX_LIBRARIES) throw new PolykernelError('invalid', `${program} needs too many libraries`);
    }
  }
  return [...found.values(), { path: platform.loader, real: realpathSync(platform.loader) }];
}

function locate(name: string, machine: number, given: readonly string[], system: readonly string[]) {
  for (const directory of [...given, ...system]) {
    const path = join(directory, name);
    if (statSync(path, { throwIfNoEntry: false })?.isFile() !== true) continue;
    const file = { path, real: realpathSync(path) };
    if (!given.includes(directory) && !isOwnedBySystem(file.real)) continue;
    const links = linksOf(path);
    // Like the loader: one for another machine is passed over.
    if (links?.machine === machine) return { file, links };
  }
  return undefined;
}

/** Root's daemon gives nothing of other users' to its guests; for others all files are given by somebody else. */
function isOwnedBySystem(path: string): boolean {
  const status = statSync(path, { throwIfNoEntry: false });
  if (status === undefined) return false;
  return process.getuid?.() !== 0 || (status.uid === 0 && (status.mode & 0o022) === 0);
}

function linksOf(path: string): ElfLinks | undefined {
  const fd = openRegular(path);
  if (fd === undefined) return undefined;
  try {
    return readLinks(readerOf(fd), path);
  } finally {
    closeSync(fd);
  }
}

function foreignLoader(program: string, loader: string): PolykernelError {
  const known = Object.values(PLATFORMS).map((platform) => platform.loader);
  const message = `${program} asks for the loader ${JSON.stringify(loader)}, and only ${known.join(' and ')} are used`;
  return new PolykernelError('invalid', message, {
    value: program,
    hint: 'Build it for the C library of Debian (glibc), or link it statically.',
  });
}

function missing(program: string, name: string): PolykernelError {
  return new PolykernelError('unavailable', `${program} needs the library ${name}, and no library directory has it`, {
    value: program,
    hint: `Install the package that holds ${name}; \`apt-file search ${name}\` names it.`,
  });
}
