/** Running other programs: always with an argument vector, a bound on what is kept of their output, and a deadline. */
import { spawn } from 'node:child_process';
import { accessSync, constants, readFileSync, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { isMainThread } from 'node:worker_threads';
import { parseCpuList } from './cpu-list.ts';
import { toolEnvironment } from './environment.ts';
import { PolykernelError } from './errors.ts';
import { formatDuration } from './units.ts';

const DEFAULT_OUTPUT_BYTES = 4 * 1024 * 1024;

export interface RunOptions {
  /** Written to standard input, which is then closed. */
  input?: string | Uint8Array;
  /** The program's process group is killed after this long. Default: 60 s. */
  deadlineMs?: number;
  signal?: AbortSignal;
  /** Besides toolEnvironment(). */
  env?: Readonly<Record<string, string | undefined>>;
  cwd?: string;
  /** Open descriptors of this process; the program gets them as 3, 4, ... in this order. */
  fds?: readonly number[];
  /** Most bytes kept of each output; the rest is read and dropped. Default: 4 MiB. */
  maxOutputBytes?: number;
}

export interface RunResult {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
  /** Standard output before decoding. */
  stdoutBytes: Buffer;
}

/** Gathers up to a bound. */
class Gather {
  private readonly chunks: Buffer[] = [];
  private room: number;

  constructor(limit: number) {
    this.room = limit;
  }

  add(chunk: Buffer): void {
    if (this.room <= 0) return;
    const kept = chunk.length > this.room ? chunk.subarray(0, this.room) : chunk;
    this.room -= kept.length;
    this.chunks.push(kept);
  }

  bytes(): Buffer {
    return Buffer.concat(this.chunks);
  }
}

/**
 * Runs a program to its end. A non-zero status is a result, not an error.
 * Rejects with `unavailable` (no such program), `internal` (deadline passed) or the reason of `signal`.
 */
export function run(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const [program, ...args] = argv;
  if (program === undefined) throw new TypeError('run() needs a program');
  const deadlineMs = options.deadlineMs ?? 60_000;
  const limit = options.maxOutputBytes ?? DEFAULT_OUTPUT_BYTES;
  return new Promise((resolve, reject) => {
    if (options.signal?.aborted) return reject(options.signal.reason);
    const stdin = options.input === undefined ? 'ignore' : 'pipe';
    // detached: a process group of its own, so that killing it takes what it started along.
    const child = withOpenUmask(() =>
      spawn(program, args, {
        stdio: [stdin, 'pipe', 'pipe', ...(options.fds ?? [])],
        detached: true,
        env: toolEnvironment(options.env),
        cwd: options.cwd,
      }),
    );
    const out = new Gather(limit);
    const err = new Gather(limit);
    let failure: unknown;
    const stop = (reason: unknown) => {
      failure ??= reason;
      killGroup(child.pid);
    };
    const timer = setTimeout(
      () => stop(new PolykernelError('internal', `${program} did not finish within ${formatDuration(deadlineMs)}`)),
      deadlineMs,
    );
    const onAbort = () => stop(options.signal?.reason);
    options.signal?.addEventListener('abort', onAbort, { once: true });
    const release = () => {
      clearTimeout(timer);
      options.signal?.removeEventListener('abort', onAbort);
    };
    child.stdout?.on('data', (chunk: Buffer) => out.add(chunk));
    child.stderr?.on('data', (chunk: Buffer) => err.add(chunk));
    // The program may end without reading its input: that is its right.
    child.stdin?.on('error', () => {});
    child.stdin?.end(options.input);
    child.on('error', (error: NodeJS.ErrnoException) => {
      release();
      reject(failure ?? spawnFailure(program, error));
    });
    child.on('close', (code, signal) => {
      release();
      if (failure !== undefined) return reject(failure);
      const stdoutBytes = out.bytes();
      resolve({
        code,
        signal,
        stdoutBytes,
        stdout: stdoutBytes.toString('utf8'),
        stderr: err.bytes().toString('utf8'),
      });
    });
  });
}

/**
 * Starts a process with the usual umask: the daemon's own keeps everything to itself, but tools make files for the machine
 * (/run/netns) and for jails, which run as other users.
 */
export function withOpenUmask<T>(start: () => T): T {
  if (!isMainThread) return start();
  const mask = process.umask(0o022);
  try {
    return start();
  } finally {
    process.umask(mask);
  }
}

/** Kills a process started as the leader of its group, and the whole group. */
export function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // Already gone.
  }
}

function spawnFailure(program: string, error: NodeJS.ErrnoException): PolykernelError {
  if (error.code === 'ENOENT') {
    return new PolykernelError('unavailable', `the program ${program} is not installed`, {
      hint: `Install the package that holds ${program}; \`pk doctor\` lists what is missing.`,
      cause: error,
    });
  }
  return new PolykernelError('internal', `${program} could not be started: ${error.message}`, { cause: error });
}

/** Absolute path of an executable on the search path (plus the sbin directories), or undefined. */
export function which(name: string, path = process.env.PATH ?? ''): string | undefined {
  if (name.includes('/')) return isExecutable(name) ? name : undefined;
  for (const directory of [...path.split(delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/bin', '/bin']) {
    if (!directory.startsWith('/')) continue;
    const candidate = join(directory, name);
    if (isExecutable(candidate)) return candidate;
  }
  return undefined;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/**
 * When a process was started, in clock ticks since the host booted (field 22 of proc(5) stat), or undefined when there is
 * no such process or only its zombie. With the pid this names one process for good: pids are used again, pairs are not.
 */
export function processStartTime(pid: number, procRoot = '/proc'): number | undefined {
  try {
    const stat = readFileSync(join(procRoot, String(pid), 'stat'), 'latin1');
    // The command in field 2 may hold spaces and parentheses: count from the last one.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (fields[0] === 'Z' || fields[0] === 'X') return undefined;
    const ticks = Number(fields[19]);
    return Number.isFinite(ticks) ? ticks : undefined;
  } catch {
    return undefined;
  }
}

/** Host CPUs this process may run on. */
export function allowedCpus(procRoot = '/proc'): number[] {
  const status = readFileSync(join(procRoot, 'self/status'), 'latin1');
  const list = /^Cpus_allowed_list:\s*(\S+)$/m.exec(status)?.[1];
  return list === undefined ? [0] : parseCpuList(list);
}
