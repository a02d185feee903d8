/**
 * Runs decompressors and unpackers on what others made: each in a jail of its own (tool-jail.ts), with bounds on memory,
 * output and time. A tool that a hostile archive takes over can write its one output, and nothing else.
 */
import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import { existsSync, lchownSync, readFileSync, readlinkSync, realpathSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import type { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { PolykernelError } from './errors.ts';
import { checkRoom, type SpaceOf } from './free-space.ts';
import { libraryFiles } from './libraries.ts';
import { nativeBinary } from './paths.ts';
import { killGroup } from './process.ts';
import { countsByJail } from './process-count.ts';
import { makeToolGroups, type ToolGroups } from './tool-groups.ts';
import { freeToolId, takeToolId } from './tool-ids.ts';
import { type ToolBounds, type ToolJail, toolArgv } from './tool-jail.ts';
import { toolPath } from './tools.ts';
import { formatBytes, formatDuration } from './units.ts';

export interface ConfinedTask {
  /** For people, as in "it is too large for NAME": a path or what is unpacked. */
  subject: string;
  /** Programs by name; the first one runs, and may run the others. */
  programs: readonly string[];
  args: readonly string[];
  /** Names of libraries that the program does not state, but asks for while it runs. */
  loads?: readonly string[];
  /** What it reads from standard input; default: nothing. */
  input?: Readable | Uint8Array;
  /** Where its standard output goes: an open descriptor, or back as a stream. Default: nowhere. */
  output?: number | 'stream';
  /** Absolute path of a file or directory that it may write, seen as TOOL_PLACE. As root it is given to the tool's id. */
  place?: string;
  /** As root: the id that it runs as, out of takeToolId(), for runs that share a place. Default: one of its own. */
  uid?: number | undefined;
  /** How full the disk is that it writes to; default: as it is. */
  space?: SpaceOf | undefined;
  bounds?: Partial<ToolBounds>;
  /** It is killed after this long. */
  deadlineMs: number;
  signal?: AbortSignal | undefined;
}

export interface ConfinedRun {
  /** With `output: 'stream'`. */
  stdout: Readable | undefined;
  /**
   * Resolves with what it said, at most SAID_BYTES of it, when it ends well. Rejects with `invalid` when it fails or goes over a bound,
   * `unavailable` when a program is missing, `internal` when there can be no jail or the disk gets full, or the reason of `signal`.
   */
  ended: Promise<string>;
  /** Kills it; `ended` then rejects with `reason`. */
  stop(reason: unknown): void;
}

const DEFAULT_BOUNDS: ToolBounds = { memoryBytes: 2 ** 30, processes: 16, fileBytes: 2 ** 30, cpuSeconds: 600 };
/** How bwrap's descriptors continue behind the standard ones. */
const FIRST_JOIN_FD = 3;
const SAID_BYTES = 8192;
/** What it says is read, to the last word, but costs this process: no more than so many bytes in CHECK_MS. */
const HEARD_BYTES = 262_144;
/**
 * A disk takes less than the room that stays free (free-space.ts) in that time. And for each process that the host kills for want of
 * memory it writes to its own log what all of them have: of a tool that goes on all the same some hundred a second.
 */
const CHECK_MS = 100;
const SIGNAL_STATUS = 128;
const { SIGKILL, SIGXCPU, SIGXFSZ } = constants.signals;

/**
 * Starts a tool. Throws `unavailable` when a program or library is missing, `internal` when the disk that it writes to is full,
 * `permission` or `internal` when its control groups cannot be made.
 */
export function startConfined(task: ConfinedTask): ConfinedRun {
  task.signal?.throwIfAborted();
  checkSpace(task);
  const bounds = { ...DEFAULT_BOUNDS, ...task.bounds };
  const { child, wasShort, release: leave } = start(task, bounds, findPrograms(task));
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let failure: unknown;
  const stop = (reason: unknown) => {
    failure ??= reason ?? new Error('stopped');
    killGroup(child.pid);
    // Unread output would keep it from being over.
    child.stdout?.destroy();
  };
  const late = () => stop(overBound(task, `takes longer than ${formatDuration(task.deadlineMs)}`));
  const timer = setTimeout(late, task.deadlineMs);
  let unheard = HEARD_BYTES;
  const watch = setInterval(() => {
    unheard = HEARD_BYTES;
    child.stderr?.resume();
    try {
      checkSpace(task);
      if (wasShort()) stop(wantOfMemory(task));
    } catch (error) {
      stop(error);
    }
  }, CHECK_MS);
  const onAbort = () => stop(task.signal?.reason);
  task.signal?.addEventListener('abort', onAbort, { once: true });
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-SAID_BYTES);
    unheard -= text.length;
    if (unheard <= 0) child.stderr?.pause();
  });
  const fed = feed(task, child, stop);
  const release = async () => {
    clearTimeout(timer);
    clearInterval(watch);
    task.signal?.removeEventListener('abort', onAbort);
    await leave();
  };
  child.once('error', async (error) => {
    await release();
    reject(failure ?? new PolykernelError('internal', `${task.programs[0]} could not be started: ${error.message}`));
  });
  child.once('close', async (code, signal) => {
    await release();
    await fed;
    if (failure === undefined && code === 0) resolve(plain(said));
    else reject(failure ?? failed(task, bounds, code ?? SIGNAL_STATUS + constants.signals[signal!], said));
  });
  // Awaited when the output was read, which may be later.
  promise.catch(() => {});
  return { stdout: child.stdout ?? undefined, ended: promise, stop };
}

/** `release`: once it has ended, for what it had. */
function start(task: ConfinedTask, bounds: ToolBounds, found: Found) {
  const uid = task.uid ?? takeToolId();
  let groups: ToolGroups | undefined;
  const release = async () => {
    if (task.uid === undefined) freeToolId(uid);
    await groups?.remove();
  };
  try {
    if (uid !== undefined && task.place !== undefined) lchownSync(task.place, uid, uid);
    groups = makeToolGroups(bounds);
    const joinFds = groups.joins.map((_, index) => FIRST_JOIN_FD + index);
    const { place, args } = task;
    const argv = toolArgv({ ...found, uid, place, bounds, joinFds, countsByJail: countsByJail(), args });
    const input = task.input === undefined ? 'ignore' : 'pipe';
    const stdio: StdioOptions = [input, outputOf(task), 'pipe', ...groups.joins];
    // A process group of its own, so that killing it takes all along that bwrap does not.
    const child = withoutDumps(() => spawn(argv[0]!, argv.slice(1), { stdio, detached: true, env: {}, cwd: '/' }));
    groups.closeJoins();
    return { child, wasShort: groups.wasShort, release };
  } catch (error) {
    void release();
    throw error;
  }
}

const DUMP_FILTER = '/proc/self/coredump_filter';

/**
 * Gives what `start` does, which starts a process: a dump of that, or of what it starts, holds no memory. Where the host's dumps go to a
 * socket (core_pattern `@`, Linux 6.16) no limit keeps them from the program that listens there.
 */
function withoutDumps<T>(start: () => T): T {
  // Read in hexadecimal, and written with a prefix. A kernel without dumps has no such file.
  const before = existsSync(DUMP_FILTER) ? `0x${readFileSync(DUMP_FILTER, 'latin1').trim()}` : undefined;
  if (before !== undefined) writeFileSync(DUMP_FILTER, '0');
  try {
    return start();
  } finally {
    if (before !== undefined) writeFileSync(DUMP_FILTER, before);
  }
}

/**
 * Runs a tool and gives what it wrote to standard output.
 * @param maxBytes more of it is an error, which names this bound
 * Throws as `ConfinedRun.ended`.
 */
export async function confinedOutput(task: Omit<ConfinedTask, 'output'>, maxBytes: number): Promise<Buffer> {
  const running = startConfined({ ...task, output: 'stream' });
  const chunks: Buffer[] = [];
  let room = maxBytes;
  running.stdout!.on('data', (chunk: Buffer) => {
    room -= chunk.length;
    if (room < 0) running.stop(overBound(task, `is larger than ${formatBytes(maxBytes)} when unpacked`));
    else chunks.push(chunk);
  });
  running.stdout!.on('error', () => {});
  await running.ended;
  return Buffer.concat(chunks);
}

type Found = Omit<ToolJail, 'uid' | 'place' | 'bounds' | 'joinFds' | 'countsByJail' | 'args'>;

function findPrograms(task: ConfinedTask): Found {
  const tools = task.programs.map((name) => ({ name, tool: toolPath(name) }));
  const programs = tools.map(({ name, tool }) => ({ name, path: realpathSync(tool.path) }));
  const libraryPath = tools.find(({ tool }) => tool.env.LD_LIBRARY_PATH !== undefined)?.tool.env.LD_LIBRARY_PATH;
  const libraries = programs.flatMap(({ path }) => libraryFiles(path, libraryPath, task.loads));
  return {
    prlimit: toolPath('prlimit').path,
    bwrap: toolPath('bwrap').path,
    pkCell: nativeBinary('pk-cell'),
    pkJail: nativeBinary('pk-jail'),
    programs,
    libraries: [...new Map(libraries.map((library) => [library.path, library])).values()],
    libraryPath,
  };
}

/** Whether the disk has room left where it writes. */
function checkSpace({ place, output, subject, space }: ConfinedTask): void {
  const path = place ?? (typeof output === 'number' ? readlinkSync(`/proc/self/fd/${output}`) : undefined);
  // A pipe has no path.
  if (path?.startsWith('/')) checkRoom(path, 0, `what ${subject} unpacks to`, space);
}

function outputOf({ output }: ConfinedTask): 'pipe' | 'ignore' | number {
  return output === 'stream' ? 'pipe' : (output ?? 'ignore');
}

async function feed({ input }: ConfinedTask, child: ChildProcess, stop: (reason: unknown) => void): Promise<void> {
  if (input === undefined) return;
  const stdin = child.stdin as Writable;
  try {
    // An array: bytes alone would go out one by one.
    await pipeline(input instanceof Uint8Array ? [input] : input, stdin);
  } catch (error) {
    // It may end without reading all of its input: its status says whether that was a failure.
    const ended = child.exitCode !== null || child.signalCode !== null;
    if (!ended && (error as NodeJS.ErrnoException).code !== 'EPIPE') stop(error);
  }
}

function failed(task: ConfinedTask, bounds: ToolBounds, status: number, said: string): PolykernelError {
  const tool = task.programs[0]!;
  if (status === SIGNAL_STATUS + SIGXFSZ) {
    return overBound(task, `is larger than ${formatBytes(bounds.fileBytes)} when unpacked`);
  }
  if (status === SIGNAL_STATUS + SIGXCPU) {
    return overBound(task, `takes more than ${formatDuration(bounds.cpuSeconds * 1000)} of a CPU`);
  }
  if (status === SIGNAL_STATUS + SIGKILL) {
    return wantOfMemory(task);
  }
  const text = plain(said).trim().split('\n').slice(-4).join('; ') || `it ended with status ${status}`;
  // What comes before the tool itself says who it is.
  if (/^(bwrap|pk-cell|pk-jail|prlimit): /.test(text)) {
    const message = `${tool} cannot be confined, so that ${task.subject} is not unpacked: ${text}`;
    return new PolykernelError('internal', message, { hint: 'See `pk doctor`: the jail of kernels needs the same.' });
  }
  return new PolykernelError('invalid', `${task.subject} cannot be unpacked: ${tool}: ${text}`);
}

function wantOfMemory({ subject, programs: [tool] }: ConfinedTask): PolykernelError {
  return new PolykernelError('invalid', `${subject} cannot be unpacked: ${tool} was killed, as for want of memory`);
}

function overBound(task: ConfinedTask, what: string): PolykernelError {
  return new PolykernelError('invalid', `${task.subject} ${what}, which is the bound`, {
    hint: 'Unpack it yourself and give what is in it.',
  });
}

/** File names in what a tool says come from the archive, and end up on somebody's terminal. */
function plain(text: string): string {
  return text.replace(/[^\P{C}\n]/gu, '\ufffd');
}
