/**
 * The daemon's side of pk-shim (docs/shim.md): starting one, talking to it through `shim.sock`, and finding out what
 * became of it and of its program after any of the three was killed.
 */
import { spawn } from 'node:child_process';
import { closeSync, existsSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { signalProcess } from '../../core/process-id.ts';
import { PolykernelError } from '../../sys/errors.ts';
import { nativeBinary } from '../../sys/paths.ts';
import { withOpenUmask } from '../../sys/process.ts';
import { plainText } from '../../sys/text.ts';
import type { NetworkPort } from '../network-port.ts';
import { killJail, noteJail } from './fence.ts';
import { readShimProcess, SHIM_PID_FILE, untilEnded, untilGone, untilProven } from './process.ts';
import { signalName } from './signals.ts';

const SOCKET = 'shim.sock';
const EXIT_FILE = 'exit';
const LOG = 'console.log';
/** The program's descriptors 0-4 belong to the shim. */
export const FIRST_PASSED_FD = 5;
/** The shim's own descriptor of the memory that it shares. */
export const SHIM_MEMORY_FD = 100;
const START_DEADLINE_MS = 10_000;
const KILL_DEADLINE_MS = 10_000;
/** How long a jail whose outer process has ended may take, until it is told that it does not end. */
const FENCE_DEADLINE_MS = 5_000;
/** What a VMM answers is shown to people: longer ones are cut. */
const MAX_REPLY = 1024;

export interface ShimLaunch {
  /** Private directory (0700) for the shim's socket, logs and status files. */
  directory: string;
  /** The program and its arguments. */
  argv: readonly string[];
  /** Open descriptors of this process; the program gets them as 5, 6, ... in this order. */
  fds?: readonly number[];
  /** A port whose frames the program gets through one more descriptor, behind `fds`. */
  packet?: NetworkPort | undefined;
  /** Open descriptor of a lock, which the shim keeps as long as its program runs. The program does not get it. */
  held?: number | undefined;
  /** Memory that the program gets through one more descriptor, behind that, and this process by openShimMemory(). */
  memoryBytes?: number | undefined;
  /** Host CPUs of the shim, and of its program until that chooses others; undefined = those of this process. */
  cpus?: readonly number[] | undefined;
  /** Control groups in which the program starts, as LimitGroups.joinPaths() gives them; at most 4. */
  joins?: readonly string[];
  /** The console log is rotated at this size. */
  logBytes?: number;
  env?: Readonly<Record<string, string>> | undefined;
  signal?: AbortSignal;
}

/** How a program under a shim ended: exactly one of the two is set. */
export interface ProgramExit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/**
 * running: `pid` is the program's. exited: it ended. lost: the shim was killed, and the kernel killed the program with it.
 */
export type ShimStatus = { state: 'running'; pid: number } | ({ state: 'exited' } & ProgramExit) | { state: 'lost' };

/**
 * Starts a program under a shim of its own, which outlives this process.
 * Rejects with `unavailable` (not built, no such program), `internal`, or the reason of `signal`; then nothing is left running.
 */
export function launchShim(launch: ShimLaunch): Promise<{ pid: number }> {
  const fds = launch.fds ?? [];
  const options = ['--dir', launch.directory];
  if (launch.logBytes !== undefined) options.push('--log-bytes', String(launch.logBytes));
  if (launch.cpus !== undefined && launch.cpus.length > 0) options.push('--cpus', launch.cpus.join(','));
  if (fds.length > 0) options.push('--fds', fds.map((_, index) => FIRST_PASSED_FD + index).join(','));
  const held = launch.held === undefined ? [] : [launch.held];
  if (held.length > 0) options.push('--hold', String(FIRST_PASSED_FD + fds.length));
  for (const path of launch.joins ?? []) options.push('--join', path);
  const { packet } = launch;
  if (packet) options.push('--packet', [packet.namespace, packet.interface, packet.peer].join(','));
  if (launch.memoryBytes) options.push('--memory', String(launch.memoryBytes));
  const program = nativeBinary('pk-shim');
  return new Promise((resolve, reject) => {
    if (launch.signal?.aborted) return reject(launch.signal.reason);
    const shim = withOpenUmask(() =>
      spawn(program, [...options, '--', ...launch.argv], {
        stdio: ['ignore', 'pipe', 'pipe', 'ignore', 'ignore', ...fds, ...held],
        detached: true,
        // A jail shows it, as /proc/1/environ.
        env: launch.env ?? {},
      }),
    );
    let answer = '';
    let complaint = '';
    let settled = false;
    const settle = (finish: () => void) => {
      if (settled) return;
      settled = true;
      clearTimeout(timer);
      // What Node has of it lives as long as its kernel, and what it was started with is long: a listener made here would keep it.
      for (const stream of [shim.stdout, shim.stderr]) stream?.removeAllListeners().destroy();
      shim.unref();
      shim.removeAllListeners().on('error', ignore);
      shim.spawnargs.length = 0;
      Object.assign(shim, { stdout: null, stderr: null, stdio: [] });
      finish();
    };
    const abandon = (reason: unknown) => {
      // Its program has it as its parent and dies with it.
      shim.kill('SIGKILL');
      settle(() => reject(reason));
    };
    // An abort waits the milliseconds until the program runs, because then its end can be waited for.
    const finish = (pid: number) => {
      if (launch.signal?.aborted !== true) return settle(() => resolve({ pid }));
      killShim(launch.directory).then(
        () => settle(() => reject(launch.signal?.reason)),
        (error) => settle(() => reject(error)),
      );
    };
    const timer = setTimeout(
      () =>
        abandon(
          new PolykernelError('internal', `pk-shim did not start ${launch.argv[0]} within ${START_DEADLINE_MS} ms`),
        ),
      START_DEADLINE_MS,
    );
    shim.stdout?.setEncoding('latin1').on('data', (text: string) => {
      answer = (answer + text).slice(0, 64);
      const pid = /^ready (\d+)\n/.exec(answer)?.[1];
      if (pid !== undefined) finish(Number(pid));
    });
    shim.stderr?.setEncoding('utf8').on('data', (text: string) => {
      complaint = (complaint + text).slice(-4096);
    });
    shim.on('error', (error) =>
      abandon(new PolykernelError('internal', `pk-shim: ${error.message}`, { cause: error })),
    );
    shim.on('close', (code, signal) => {
      if (answer !== '' && launch.signal?.aborted) return;
      const reason = plainText(complaint).trim() || `pk-shim ended with ${signal ?? `status ${code}`}`;
      settle(() => reject(new PolykernelError('internal', `${launch.argv[0]} could not be started: ${reason}`)));
    });
  });
}

const ignore = (): void => {};

/**
 * Opens a connection to the shim in `directory` and sends the line that says what it is for.
 * Rejects with `kernel-died` when no shim answers there.
 */
export function connectShim(directory: string, line: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    let handle: number | undefined;
    const release = () => {
      if (handle !== undefined) closeSync(handle);
      handle = undefined;
    };
    let path = join(directory, SOCKET);
    try {
      if (Buffer.byteLength(path) > 107) {
        // Too long for sun_path: go through a descriptor of the directory.
        handle = openSync(directory, 'r');
        path = `/proc/self/fd/${handle}/${SOCKET}`;
      }
    } catch (error) {
      return reject(noShim(directory, error));
    }
    const socket = connect({ path });
    const onError = (error: Error) => {
      release();
      reject(noShim(directory, error));
    };
    socket.once('error', onError);
    socket.once('connect', () => {
      release();
      socket.off('error', onError);
      // Whoever uses the socket watches for its close; a shim that ends meanwhile must not end this process.
      socket.on('error', () => {});
      socket.write(`${line}\n`);
      resolve(socket);
    });
  });
}

function noShim(directory: string, cause: unknown): PolykernelError {
  return new PolykernelError('kernel-died', `no kernel runs in ${directory}`, { cause });
}

/**
 * Sends a line and gathers the answer, as plain text and not beyond 1,024 characters, until the shim closes the connection.
 * Rejects with `kernel-died` (no shim) or `internal` (no end within the deadline).
 */
export async function askShim(directory: string, line: string, deadlineMs = 6000): Promise<string> {
  const socket = await connectShim(directory, line);
  return await new Promise((resolve, reject) => {
    let text = '';
    const timer = setTimeout(() => {
      socket.destroy();
      reject(
        new PolykernelError(
          'internal',
          `the shim in ${directory} did not answer ${line.split(' ')[0]} in ${deadlineMs} ms`,
        ),
      );
    }, deadlineMs);
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => {
      if (text.length <= MAX_REPLY) text += chunk.slice(0, MAX_REPLY + 1);
    });
    // An error comes before its close; what matters is that the connection is over.
    socket.on('error', () => {});
    socket.on('close', () => {
      clearTimeout(timer);
      resolve(plainText(text, MAX_REPLY));
    });
  });
}

/**
 * Sends a line to who serves the program's monitor, and gives the line that comes back. Rejects as askShim() does, and with
 * `internal` when the line is closed first. A line that `isLate` is the answer to an earlier one, whose asker has given up.
 */
export async function askMonitor(
  directory: string,
  line: string,
  isLate: (answer: string) => boolean = () => false,
  deadlineMs = 6000,
): Promise<string> {
  const socket = await connectShim(directory, 'monitor');
  return await new Promise((resolve, reject) => {
    let text = '';
    const finish = (error: PolykernelError | undefined) => {
      clearTimeout(timer);
      socket.destroy();
      if (error === undefined) resolve(plainText(text.slice(0, text.indexOf('\n')), MAX_REPLY));
      else reject(error);
    };
    const fail = (what: string) => finish(new PolykernelError('internal', `${line} in ${directory}: ${what}`));
    const timer = setTimeout(() => fail(`no answer within ${deadlineMs} ms`), deadlineMs);
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => {
      if (text.length <= MAX_REPLY) text += chunk.slice(0, MAX_REPLY + 1);
      while (text.includes('\n') && isLate(text.slice(0, text.indexOf('\n'))))
        text = text.slice(text.indexOf('\n') + 1);
      if (text.includes('\n')) finish(undefined);
      else if (text.length > MAX_REPLY) fail('the answer is too long');
    });
    socket.on('close', () => fail('the kernel ended meanwhile'));
    socket.write(`${line}\n`);
  });
}

/**
 * Opens the memory that the program in `directory` shares. Undefined when it was started without, or with a size that `isSize` does not take.
 */
export function openShimMemory(directory: string, isSize: (bytes: number) => boolean): number | undefined {
  const shim = readShimProcess(directory);
  if (shim === undefined) return undefined;
  let file: number | undefined;
  try {
    file = openSync(`/proc/${shim.pid}/fd/${SHIM_MEMORY_FD}`, 'r+');
    if (isSize(fstatSync(file).size)) return file;
  } catch {
    // An older shim has none.
  }
  if (file !== undefined) closeSync(file);
  return undefined;
}

/** What became of the shim and its program; undefined when none was ever started in `directory`. */
export async function shimStatus(directory: string): Promise<ShimStatus | undefined> {
  // The order matters: a program that ends between the two questions has written its exit file by the second.
  const answer = await askShim(directory, 'status').catch(() => '');
  const pid = /^running (\d+)\n$/.exec(answer)?.[1];
  if (pid !== undefined) return { state: 'running', pid: Number(pid) };
  const exit = readProgramExit(directory);
  if (exit !== undefined) return { state: 'exited', ...exit };
  return existsSync(join(directory, SHIM_PID_FILE)) ? { state: 'lost' } : undefined;
}

/** Reads the exit file; undefined while there is none. */
export function readProgramExit(directory: string): ProgramExit | undefined {
  let text: string;
  try {
    text = readFileSync(join(directory, EXIT_FILE), 'latin1');
  } catch {
    return undefined;
  }
  return parseProgramExit(text);
}

/** `code N` or `signal N`; undefined for anything else. */
export function parseProgramExit(text: string): ProgramExit | undefined {
  const match = /^(code|signal) (\d{1,3})\n?$/.exec(text);
  if (match === null) return undefined;
  const value = Number(match[2]);
  return match[1] === 'code' ? { code: value, signal: null } : { code: null, signal: signalName(value) };
}

/**
 * Resolves when the program has ended and `exit` is written, or when its shim is gone without that (then undefined); in both cases
 * when all of the jail is proven to be gone. Never rejects, holds one connection; when `signal` fires it lets go and resolves with
 * undefined. `onStuck`: told, now and then, what does not die.
 */
export async function awaitProgramExit(
  directory: string,
  signal?: AbortSignal,
  onStuck: (message: string) => void = () => {},
): Promise<ProgramExit | undefined> {
  try {
    const socket = await connectShim(directory, 'wait');
    await new Promise<void>((resolve) => {
      const letGo = () => void socket.destroy();
      socket.on('error', () => {});
      socket.on('close', () => {
        signal?.removeEventListener('abort', letGo);
        resolve();
      });
      socket.resume();
      signal?.addEventListener('abort', letGo, { once: true });
      if (signal?.aborted) letGo();
    });
  } catch {
    // No shim: the file tells.
  }
  if (signal?.aborted) return undefined;
  const exit = readProgramExit(directory);
  // Nobody waited for what a killed shim took along.
  const gone = () =>
    exit === undefined ? untilGone(directory, undefined, FENCE_DEADLINE_MS) : untilEnded(directory, FENCE_DEADLINE_MS);
  await untilProven(gone, onStuck, signal);
  return signal?.aborted === true ? undefined : exit;
}

/**
 * Kills the program in `directory` and everything it started; resolves when that is proven to be gone, at once when nothing runs.
 * A shim that does not answer is killed itself, but only when its pid is certainly still its own.
 * Rejects with NotGone when even that does not end it.
 */
export async function killShim(directory: string): Promise<void> {
  // Afterwards nothing leads from the one to the other.
  noteJail(directory, readShimProcess(directory)?.pid);
  await askShim(directory, 'kill', KILL_DEADLINE_MS).catch(() => {
    // No answer: a shim that is gone, or stopped.
  });
  // The jail's first process sees that its outer one is gone, unless somebody has stopped it.
  killJail(directory);
  if (readProgramExit(directory) !== undefined) return await untilEnded(directory, FENCE_DEADLINE_MS);
  const shim = readShimProcess(directory);
  // Its death takes the program along (PR_SET_PDEATHSIG).
  if (shim !== undefined) signalProcess(shim, 'SIGKILL');
  await untilGone(directory, shim, KILL_DEADLINE_MS);
}

/** Path of the console log that the shim keeps; the older part is at this path plus `.1`. */
export const consoleLogPath = (directory: string): string => join(directory, LOG);

/**
 * The last bytes of the console as plain text: what the guest printed is hostile to a terminal. Empty when there is no log.
 */
export async function readConsoleTail(directory: string, bytes: number): Promise<string> {
  const path = consoleLogPath(directory);
  let tail = await readTail(path, bytes);
  if (tail.length < bytes) tail = Buffer.concat([await readTail(`${path}.1`, bytes - tail.length), tail]);
  return plainText(tail.toString('utf8'));
}

async function readTail(path: string, bytes: number): Promise<Buffer> {
  let file: Awaited<ReturnType<typeof open>> | undefined;
  try {
    file = await open(path, 'r');
    const { size } = await file.stat();
    const length = Math.min(size, bytes);
    const buffer = Buffer.alloc(length);
    const { bytesRead } = await file.read(buffer, 0, length, size - length);
    return buffer.subarray(0, bytesRead);
  } catch {
    return Buffer.alloc(0);
  } finally {
    await file?.close();
  }
}
