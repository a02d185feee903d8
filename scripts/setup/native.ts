/** Compiles the programs of native/ into the cache, side by side, each only when its sources or the recipe changed. */
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { runCommand } from '../../src/sys/command.ts';
import { PolykernelError } from '../../src/sys/errors.ts';
import { findTool, type Tool, toolHint, unpackedDirectory } from '../../src/sys/tools.ts';
import { compileArguments, programNames, sourceDigest } from './recipe.ts';

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
  const changed = programNames().filter((name) => !isCurrent(join(target, name), sourceDigest(name)));
  if (changed.length === 0) return;
  const compiler = findCompiler(target);
  const compileRest = async () => {
    for (let name = changed.shift(); name !== undefined; name = changed.shift()) {
      progress(`compiling ${name} with ${compiler.name}`);
      await build(name, join(target, name), compiler, signal);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, compileRest));
}

const stampOf = (program: string): string => `${program}.source-sha256`;

function isCurrent(program: string, digest: string): boolean {
  return existsSync(program) && existsSync(stampOf(program)) && readFileSync(stampOf(program), 'utf8') === digest;
}

async function build(name: string, program: string, compiler: Compiler, signal: AbortSignal): Promise<void> {
  const digest = sourceDigest(name);
  const temporary = `${program}.${process.pid}.tmp`;
  try {
    await runCommand([...compiler.argv, ...compileArguments(name, temporary)], { env: compiler.env, signal });
    chmodSync(temporary, 0o755);
    // The program first: a crash in between only compiles it once more.
    renameSync(temporary, program);
    writeFileSync(temporary, digest);
    renameSync(temporary, stampOf(program));
  } finally {
    rmSync(temporary, { force: true });
  }
}

/** musl makes the smallest programs; glibc's static library does as well. */
export function findCompiler(scratch: string): Compiler {
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
