/**
 * How the programs of native/ are compiled: native/NAME becomes pk-NAME, from all *.c of its folder and of native/common in one
 * call. NAME.so becomes a library, from its folder alone.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const SOURCES = join(import.meta.dirname, '../../native');
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
/** For these nanoseconds count and not bytes. */
const FAST: ReadonlySet<string> = new Set(['pk-ring', 'pk-ring-bench']);
/** Files of another program that one has too. */
const SHARED: Readonly<Record<string, readonly string[]>> = { 'pk-ring-bench': ['ring/ends.c', 'ring/laps.c'] };
/** Raised when the way of compiling changes in a way that the flags do not show. */
const RECIPE = 2;

/** The names of all programs, such as `pk-init`. */
export function programNames(): string[] {
  const folders = readdirSync(SOURCES).filter((folder) => folder !== COMMON);
  return folders.map((folder) => `pk-${folder}`).sort();
}

/** What a compiler is told to make the program at `out`, its name left out. */
export function compileArguments(name: string, out: string): string[] {
  return [...flags(name), '-o', out, ...sources(name)];
}

/** Another one whenever the program may become another: of its sources, all headers and the way of compiling. */
export function sourceDigest(name: string): string {
  const hash = createHash('sha256').update(JSON.stringify([RECIPE, flags(name)]));
  const headers = readdirSync(SOURCES, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.h'));
  for (const file of [...sources(name), ...headers.sort().map((header) => join(SOURCES, header))])
    hash.update(file.slice(SOURCES.length)).update('\0').update(readFileSync(file)).update('\0');
  return hash.digest('hex');
}

const isLibrary = (name: string): boolean => name.endsWith('.so');

function flags(name: string): string[] {
  // The C library of a library is that of the program which loads it.
  if (isLibrary(name)) return [...FLAGS, '-Os', '-shared', '-fPIC', '-nostdlib'];
  return [...FLAGS, FAST.has(name) ? '-O2' : '-Os', '-static'];
}

function sources(name: string): string[] {
  const folders = [name.slice('pk-'.length), ...(isLibrary(name) ? [] : [COMMON])];
  const files = folders.flatMap((folder) => readdirSync(join(SOURCES, folder)).map((file) => join(folder, file)));
  const own = files.filter((file) => file.endsWith('.c')).sort();
  return [...own, ...(SHARED[name] ?? [])].map((file) => join(SOURCES, file));
}
