/**
 * Small native programs that outlive who started them. The first argument of each is a file, in which it writes its process
 * number when it is ready and by which it is found again; it ends by itself when the file is gone.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { type NativeProgram, nativeBinary } from './paths.ts';

const DEADLINE_MS = 10_000;
const POLL_MS = 5;

/** Why a program did not come to run. */
export interface StartFailure {
  code: number | null;
  /** What it said, or what happened. */
  reason: string;
}

/** Ends the one that has this file, and starts another. Resolves with null once it is ready. Throws `unavailable` when it is not built. */
export async function startBackground(
  program: NativeProgram,
  file: string,
  args: readonly string[],
): Promise<StartFailure | null> {
  const path = nativeBinary(program);
  await endBackground(file);
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  return await new Promise((resolve) => {
    const child = spawn(path, [file, ...args], { stdio: ['ignore', 'pipe', 'pipe'], detached: true, env: {} });
    let complaint = '';
    const settle = (failure: StartFailure | null) => {
      clearTimeout(timer);
      if (failure !== null) child.kill('SIGKILL');
      child.stdout.destroy();
      child.stderr.destroy();
      child.unref();
      resolve(failure);
    };
    const timer = setTimeout(() => settle({ code: null, reason: 'it did not answer' }), DEADLINE_MS);
    child.stdout.once('data', () => settle(null));
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      complaint += text;
    });
    child.on('error', ({ message }) => settle({ code: null, reason: message }));
    child.on('close', (code) => settle({ code, reason: complaint.trim().replace(`${program}: `, '') }));
  });
}

/** Resolves when the process is gone, at once when there is none. */
export async function endBackground(file: string): Promise<void> {
  const pid = backgroundPid(file);
  rmSync(file, { force: true });
  if (pid === undefined) return;
  process.kill(pid, 'SIGTERM');
  const deadline = performance.now() + DEADLINE_MS;
  while (has(pid, file) && performance.now() < deadline) await pause(POLL_MS);
}

/** The process that has this file; undefined when it does not live. */
export function backgroundPid(file: string): number | undefined {
  try {
    const pid = Number(readFileSync(file, 'latin1'));
    return pid > 0 && has(pid, file) ? pid : undefined;
  } catch {
    return undefined;
  }
}

/** The number may belong to another process by now. */
function has(pid: number, file: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0')[1] === file;
  } catch {
    return false;
  }
}
