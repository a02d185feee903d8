/**
 * Processes that outlive the daemon. Each has a file, in which it writes `PID START_TIME` when it is ready, and after these
 * numbers of its own; by it a later daemon finds it again. The file stands on its command line too: after a reboot of the host
 * another process may have both numbers, but not that. native/common/keep.h is the other side.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type NativeProgram, nativeBinary } from '../sys/paths.ts';
import { processStartTime } from '../sys/process.ts';
import { commandLine, endProcesses, type ProcessId } from './process-id.ts';

const START_DEADLINE_MS = 10_000;
const COMPLAINT_BYTES = 4096;

/** What is known of a process by its file. */
export interface BackgroundProcess extends ProcessId {
  /** Its own numbers in the file. */
  numbers: readonly number[];
}

/** Why a program did not come to run. */
export interface BackgroundFailure {
  /** Its exit status; null when it has none. */
  code: number | null;
  /** What it said, or what happened. */
  reason: string;
}

export interface BackgroundStart {
  program: NativeProgram;
  file: string;
  /** `file` among them. */
  args: readonly string[];
  /** How many numbers of its own it writes; default 0. */
  numbers?: number;
}

/**
 * Ends the one that has this file, and starts another, which is ready then; or says why there is none.
 * Rejects with `unavailable` when the program is not built, and as endBackground() does.
 */
export async function startBackground(start: BackgroundStart): Promise<BackgroundProcess | BackgroundFailure> {
  const { program, file, args, numbers = 0 } = start;
  const path = nativeBinary(program);
  await endBackground(file, numbers);
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  return await new Promise((resolve) => {
    const child = spawn(path, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true, env: {} });
    let complaint = '';
    const settle = (outcome: BackgroundProcess | BackgroundFailure) => {
      clearTimeout(timer);
      if ('reason' in outcome) {
        child.kill('SIGKILL');
        // What it was about to rename.
        rmSync(`${file}.${child.pid}`, { force: true });
      }
      child.stdout.destroy();
      child.stderr.destroy();
      child.unref();
      resolve(outcome);
    };
    const fail = (code: number | null, reason: string) => settle({ code, reason });
    const timer = setTimeout(() => fail(null, 'it did not answer'), START_DEADLINE_MS);
    child.stdout.once('data', () =>
      settle(findBackground(file, numbers) ?? { code: null, reason: 'it ended at once' }),
    );
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      complaint = (complaint + text).slice(-COMPLAINT_BYTES);
    });
    child.on('error', ({ message }) => fail(null, message));
    child.on('close', (code, signal) =>
      fail(code, complaint.trim().replace(`${program}: `, '') || `${program} ended with ${signal ?? code}`),
    );
  });
}

/** The process that has this file; undefined when it does not live. `numbers`: how many of its own it writes. */
export function findBackground(file: string, numbers = 0): BackgroundProcess | undefined {
  return findProcess(file, file, numbers);
}

/** Ends the process of this file, if there is one, and removes the file. Rejects with `internal` when it does not end. */
export async function endBackground(file: string, numbers = 0, patienceMs?: number): Promise<void> {
  const find = () => findBackground(file, numbers) ?? [];
  await endProcesses(() => [find()].flat(), `what has ${file}`, patienceMs);
  rmSync(file, { force: true });
}

/** Ends those of a directory whose file is not among `kept`; all that end, before it rejects for one that does not. */
export async function endAllBut(directory: string, kept: ReadonlySet<string>, numbers = 0): Promise<void> {
  const failures: unknown[] = [];
  for (const name of list(directory)) {
    if (!kept.has(name)) await endBackground(join(directory, name), numbers).catch((error) => failures.push(error));
  }
  if (failures.length > 0) throw failures[0];
}

/** The process that a file names and that has the argument `mark`; undefined when there is none any more. */
export function findProcess(file: string, mark: string, numbers = 0): BackgroundProcess | undefined {
  const [pid, ...rest] = read(file);
  // One that an earlier version started may not have written its start time: then the argument alone tells.
  const written = rest.length > numbers ? rest.shift() : undefined;
  if (pid === undefined || rest.length !== numbers) return undefined;
  // First: a VMM that has the number by now can keep its command line from being read.
  const startTime = processStartTime(pid);
  return startTime === undefined || (written ?? startTime) !== startTime || !commandLine(pid).includes(mark)
    ? undefined
    : { pid, startTime, numbers: rest };
}

function read(file: string): number[] {
  try {
    const text = readFileSync(file, 'latin1');
    return /^[1-9]\d{0,9}( \d{1,15}){0,4}\n$/.test(text) ? text.trim().split(' ').map(Number) : [];
  } catch {
    return [];
  }
}

function list(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    // There never was one.
    return [];
  }
}
