/** The compiled C programs for tests: made again when missing or older than a source. */
import { mkdirSync, readdirSync, renameSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { cacheDirectory, type NativeProgram, nativePath } from '../../src/sys/paths.ts';
import { run } from '../../src/sys/process.ts';

const SOURCES = join(import.meta.dirname, '../../native');

/** Compiles what is needed and returns the path of the program. */
export async function nativeProgram(name: NativeProgram): Promise<string> {
  const path = nativePath(name, cacheDirectory());
  if (modified(path) >= newestSource(name)) return path;
  mkdirSync(dirname(path), { recursive: true });
  // By rename: other tests may run the old one, or compile at the same time.
  const temporary = `${path}.${process.pid}`;
  const compiled = await run([
    'musl-gcc',
    ...(name.endsWith('.so') ? ['-shared', '-fPIC', '-nostdlib'] : ['-static']),
    name === 'pk-ring' ? '-O2' : '-Os',
    '-s',
    '-Wall',
    '-Wextra',
    '-o',
    temporary,
    join(SOURCES, `${name}.c`),
  ]);
  if (compiled.code !== 0) throw new Error(`${name}: ${compiled.stderr}`);
  renameSync(temporary, path);
  return path;
}

function newestSource(name: string): number {
  const sources = readdirSync(SOURCES).filter((file) => file === `${name}.c` || file.endsWith('.h'));
  return Math.max(...sources.map((file) => modified(join(SOURCES, file))));
}

function modified(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}
