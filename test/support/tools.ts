/** Programs of the machine for tests, wherever set-up has put them. */
import { type RunOptions, type RunResult, run } from '../../src/sys/process.ts';
import { toolPath } from '../../src/sys/tools.ts';

/** run() of a program that set-up may have unpacked into the cache. */
export function runTool(name: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const { path, env } = toolPath(name);
  return run([path, ...args], { ...options, env: { ...env, ...options.env } });
}
