/**
 * How the programs of native/ are compiled: native/NAME becomes pk-NAME, from all of its folder and what that includes of other
 * folders, in one call. NAME.so becomes a library.
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

const SOURCES = join(import.meta.dirname, '../../native');
/** Not a program: what programs share. */
const COMMON = 'common';
const FLAGS = [
  '-std=gnu11',
  '-D_GNU_SOURCE',
  '-s',
  '-Wall',
  '-Wextra',
  '-ffunction-sections',
  '-fdata-sections',
  '-Wl,--gc-sections',
];
/** For these time counts and not bytes: what is copied byte by byte where that is the shortest takes an emulated processor eight times as long. */
const FAST: ReadonlySet<string> = new Set(['pk-init', 'pk-share', 'pk-ring', 'pk-ring-bench']);
/** Raised when the way of compiling changes in a way that the flags do not show. */
const RECIPE = 2;

/** The names of all programs, such as `pk-init`. */
export function programNames(): string[] {
  const folders = readdirSync(SOURCES).filter((folder) => folder !== COMMON);
  return folders.map((folder) => `pk-${folder}`).sort();
}

/** What a compiler is told to make the program at `out`, its name left out. */
export function compileArguments(name: string, out: string): string[] {
  return [...flags(name), '-o', out, ...inputs(name).filter((file) => file.endsWith('.c'))];
}

/** Another one whenever the program may become another: of its sources and the way of compiling. */
export function sourceDigest(name: string): string {
  const hash = createHash('sha256').update(JSON.stringify([RECIPE, flags(name)]));
  for (const file of inputs(name))
    hash.update(file.slice(SOURCES.length)).update('\0').update(readFileSync(file)).update('\0');
  return hash.digest('hex');
}

function flags(name: string): string[] {
  // The C library of a library is that of the program which loads it.
  if (name.endsWith('.so')) return [...FLAGS, '-Os', '-shared', '-fPIC', '-nostdlib'];
  return [...FLAGS, FAST.has(name) ? '-O2' : '-Os', '-static'];
}

/** The files of the program's folder and, of others, each header that is included and the source beside it. */
function inputs(name: string): string[] {
  const folder = join(SOURCES, name.slice('pk-'.length));
  const found = new Set(readdirSync(folder).map((file) => join(folder, file)));
  for (const file of found)
    for (const [, included] of readFileSync(file, 'utf8').matchAll(/^#include "(.*)"$/gm)) {
      const header = resolve(dirname(file), included!);
      for (const path of [header, header.replace(/\.h$/, '.c')]) if (existsSync(path)) found.add(path);
    }
  return [...found].sort();
}
