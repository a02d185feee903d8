/** The compiled C programs for tests: made again, as set-up makes them, when missing or when a source changed. */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { findCompiler } from '../../scripts/setup/native.ts';
import { compileArguments, sourceDigest } from '../../scripts/setup/recipe.ts';
import { cacheDirectory, type NativeProgram, nativePath } from '../../src/sys/paths.ts';
import { run } from '../../src/sys/process.ts';

/** Compiles what is needed and returns the path of the program. */
export async function nativeProgram(name: NativeProgram): Promise<string> {
  const path = nativePath(name, cacheDirectory());
  const stamp = `${path}.source-sha256`;
  const digest = sourceDigest(name);
  if (existsSync(path) && existsSync(stamp) && readFileSync(stamp, 'utf8') === digest) return path;
  mkdirSync(dirname(path), { recursive: true });
  // By rename: other tests may run the old one, or compile at the same time.
  const temporary = `${path}.${process.pid}`;
  const { argv, env } = findCompiler(dirname(path));
  const compiled = await run([...argv, ...compileArguments(name, temporary)], { env });
  if (compiled.code !== 0) throw new Error(`${name}: ${compiled.stderr}`);
  renameSync(temporary, path);
  writeFileSync(temporary, digest);
  renameSync(temporary, stamp);
  return path;
}
