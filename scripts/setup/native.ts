/** Compiles native/*.c into static programs (and *.so.c into libraries) in the cache, each only when its source or this recipe changed. */
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { runCommand } from '../../src/sys/command.ts';
import { PolykernelError } from '../../src/sys/errors.ts';
import { findTool, type Tool, toolHint, unpackedDirectory } from '../../src/sys/tools.ts';

const SOURCES = join(import.meta.dirname, '../../native');
const COMMON = [
  '-std=gnu11',
  '-Os',
  '-s',
  '-Wall',
  '-Wextra',
  '-ffunction-sections',
  '-fdata-sections',
  '-Wl,--gc-sections',
];
/** NAME.so.c becomes a library for a program of the machine: its C library is that program's. */
const flagsFor = (name: string): string[] => {
  if (name.endsWith('.so')) return [...COMMON, '-shared', '-fPIC', '-nostdlib'];
  // Where nanoseconds count and not bytes; the later -O wins.
  return [...COMMON, '-static', ...(name === 'pk-ring' ? ['-O2'] : [])];
};
/** Raised when the way of compiling changes in a way that the flags do not show. */
const RECIPE = 1;
const MUSL_SPECS = 'usr/lib/x86_64-linux-musl/musl-gcc.specs';

interface Compiler {
  /** For people. */
  name: string;
  argv: readonly string[];
  env: Record<string, string>;
}

/** Builds all programs. Throws `unavailable` without a compiler, `internal` with its message when it fails. */
export async function buildNative(cache: string, progress: (line: string) => void, signal: AbortSignal): Promise<void> {
  const target = join(cache, 'native');
  mkdirSync(target, { recursive: true });
  const headers = list('.h').map((file) => readFileSync(join(SOURCES, file)));
  let compiler: Compiler | undefined;
  for (const file of list('.c')) {
    const name = basename(file, '.c');
    const hash = createHash('sha256')
      .update(JSON.stringify([RECIPE, flagsFor(name)]))
      .update(readFileSync(join(SOURCES, file)));
    for (const header of headers) hash.update(header);
    const digest = hash.digest('hex');
    const program = join(target, name);
    const stamp = `${program}.source-sha256`;
    if (existsSync(program) && existsSync(stamp) && readFileSync(stamp, 'utf8') === digest) continue;
    compiler ??= findCompiler(target);
    progress(`compiling native/${file} with ${compiler.name}`);
    const temporary = `${program}.${process.pid}.tmp`;
    try {
      const argv = [...compiler.argv, ...flagsFor(name), '-o', temporary, join(SOURCES, file)];
      await runCommand(argv, { env: compiler.env, signal });
      chmodSync(temporary, 0o755);
      // The program first: a crash in between only compiles it once more.
      renameSync(temporary, program);
      writeFileSync(temporary, digest);
      renameSync(temporary, stamp);
    } finally {
      rmSync(temporary, { force: true });
    }
  }
}

function list(ending: string): string[] {
  return readdirSync(SOURCES)
    .filter((file) => file.endsWith(ending))
    .sort();
}

/** musl makes the smallest programs; glibc's static library does as well. */
function findCompiler(scratch: string): Compiler {
  const musl = findTool('musl-gcc');
  const gcc = findTool('gcc');
  if (gcc === undefined) throw new PolykernelError('unavailable', 'no C compiler is there', { hint: toolHint('gcc') });
  if (musl !== undefined && !musl.unpacked && !gcc.unpacked) return { name: 'musl-gcc', argv: [musl.path], env: {} };
  if (musl !== undefined)
    return { name: 'the unpacked musl-gcc', argv: unpackedMusl(gcc, musl, scratch), env: unpackedEnv(gcc) };
  return { name: 'gcc', argv: [gcc.path], env: unpackedEnv(gcc) };
}

/** musl-gcc is gcc with a specs file full of absolute paths: give it one that points below the unpacked packages. */
function unpackedMusl(gcc: Tool, musl: Tool, scratch: string): string[] {
  const root = musl.unpacked ? unpackedDirectory() : '/';
  const specs = readFileSync(join(root, MUSL_SPECS), 'utf8');
  const moved = join(scratch, 'musl-gcc.specs');
  writeFileSync(moved, specs.replaceAll(/\/usr\/(lib|include)\/([\w-]+-linux-musl)/g, join(root, 'usr/$1/$2')));
  return [gcc.path, '-specs', moved];
}

/** An unpacked gcc finds its own parts by itself, and the assembler and linker through PATH. */
function unpackedEnv(gcc: Tool): Record<string, string> {
  if (!gcc.unpacked) return {};
  return { ...gcc.env, PATH: `${join(unpackedDirectory(), 'usr/bin')}:${process.env.PATH ?? ''}` };
}
