/** The oracles: Debian's `dtc` and `fdtoverlay` (package device-tree-compiler). */
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer, text } from 'node:stream/consumers';
import { findTool, toolPath } from '../../src/sys/tools.ts';

/** Whether this machine has them: it does once it is set up. */
export const hasDtc = findTool('dtc') !== undefined;

/** Its version, such as 1.007002 for 1.7.2; 0 where there is none. */
export const dtcVersion = hasDtc ? versionOf(execFileSync(toolPath('dtc').path, ['--version'], withTool())) : 0;

function withTool() {
  return { encoding: 'utf8', env: { ...process.env, ...toolPath('dtc').env } } as const;
}

function versionOf(said: string): number {
  const [, major = 0, minor = 0, patch = 0] = /(\d+)\.(\d+)\.(\d+)/.exec(said) ?? [];
  return Number(major) + Number(minor) / 1e3 + Number(patch) / 1e6;
}

export interface Compiled {
  /** Undefined when it refuses. */
  readonly output: Buffer | undefined;
  readonly said: string;
}

/** Feeds `input` to `dtc ARGUMENTS -`, in the directory `cwd`. */
export const dtc = (input: string | Uint8Array, args: readonly string[], cwd = '/'): Promise<Compiled> =>
  ran('dtc', ['-q', ...args, '-'], input, cwd);

/** `base` with overlays applied by `fdtoverlay`, and written again by dtc: its own keeps names that nothing has any more. */
export async function fdtoverlay(base: Uint8Array, overlays: readonly Uint8Array[]): Promise<Compiled> {
  const directory = mkdtempSync(join(tmpdir(), 'pk-dt-'));
  try {
    const files = [base, ...overlays].map((blob, index) => {
      writeFileSync(join(directory, String(index)), blob);
      return String(index);
    });
    const applied = await ran('fdtoverlay', ['-i', files[0]!, '-o', 'out', ...files.slice(1)], '', directory);
    if (applied.output === undefined) return applied;
    return await ran('dtc', ['-q', '-I', 'dtb', '-O', 'dtb', 'out'], '', directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function ran(
  program: string,
  args: readonly string[],
  input: string | Uint8Array,
  cwd: string,
): Promise<Compiled> {
  const tool = toolPath(program);
  const child = spawn(tool.path, args, { cwd, env: { ...process.env, ...tool.env } });
  // It may end before it has read all.
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  const code = new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve));
  const [output, said, status] = await Promise.all([buffer(child.stdout), text(child.stderr), code]);
  return { output: status === 0 ? output : undefined, said };
}
