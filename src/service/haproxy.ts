/**
 * The HAProxy process of a daemon, which outlives it: started, replaced without losing a connection, spoken to over its
 * Unix socket, found again by the next daemon, ended.
 *
 * INVARIANTS
 * - Every process of this directory has the path of its configuration on its command line, so that none is ever lost sight
 *   of: not after a crash between its start and the record of it, and not while it finishes old connections.
 * - The current one is the last that was started; the others only finish the connections they have.
 */
import { spawn } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { findProcess } from '../core/background.ts';
import { commandLine, endProcesses, isAlive, type ProcessId, signalProcess } from '../core/process-id.ts';
import { toolEnvironment } from '../sys/environment.ts';
import { PolykernelError } from '../sys/errors.ts';
import { nativeBinary, ownShortDirectory } from '../sys/paths.ts';
import { processStartTime } from '../sys/process.ts';
import { toolPath } from '../sys/tools.ts';
import { type ConfigOptions, LOG_RING, renderConfig, type ServedService } from './config.ts';
import { Link } from './link.ts';
import { isProxyUid, proxyUid } from './proxy-uid.ts';
import { parseServers, parseStat, type ServerState, type StatRow } from './stat.ts';

const START_DEADLINE_MS = 10_000;
const ANSWER_DEADLINE_MS = 5_000;
const END_DEADLINE_MS = 3_000;
const POLL_MS = 10;
const LAST_LINES_MS = 200;
/** Name that pk-enter gives to the namespace it is called from. */
const HOST_NAMESPACE = 'host';
const MAX_THREADS = 4;
/** Of those that finish connections, of 5 MiB each: a client can keep one for as long as it likes. */
const MOST_FINISHING = 16;
/** Open files besides those of connections. */
const CAP_SYS_RESOURCE = 24n;
const OTHER_FILES = 200;
/** HAProxy puts something behind the path while it binds. */
const LONGEST_SOCKET_PATH = 97;

export interface ProxyListeners {
  /** The connection to the current process ended, most often with that. connect() tells. */
  lost(): void;
  /** A line of the log; of the time before the first connect() as well, as far as the process has kept it. */
  logged(line: string): void;
}

export interface Counts {
  pid: number;
  rows: StatRow[];
  /** It ends; there is nothing to come. */
  last: boolean;
}

/** HAProxy refused its configuration, or could not bind. */
export class StartFailure extends PolykernelError {
  /** Names of the frontends whose address could not be bound, with the reason. */
  readonly unbound: ReadonlyMap<string, string>;

  constructor(complaint: string) {
    super('internal', `HAProxy could not be started: ${complaint || 'it said nothing'}`);
    this.unbound = new Map(
      [...complaint.matchAll(/for frontend (\S+): (.*?)(?: for \[.*\])?$/gm)].map(([, name, reason]) => [
        name!,
        reason!,
      ]),
    );
  }
}

export class HaProxy {
  readonly #directory: string;
  readonly #config: string;
  readonly #statsSocket: string;
  readonly #pidFile: string;
  readonly #emptyDirectory: string;
  readonly #threads: number;
  readonly #listeners: ProxyListeners;
  #current: ProcessId | undefined;
  #link: Link | undefined;
  /** To processes that only finish the connections they have. */
  readonly #retired = new Set<Link>();
  /** By process: what it logs. */
  readonly #logs = new Map<number, Link>();
  /** Process whose log was read before: what it kept of it is not to come again. */
  #read: number | undefined;
  #closed = false;

  /** `directory`: of its files, made with the first start. `cpus`: how many it may use. */
  constructor(directory: string, cpus: number, listeners: ProxyListeners = { lost() {}, logged() {} }) {
    this.#directory = directory;
    this.#config = join(directory, 'haproxy.cfg');
    this.#statsSocket = join(directory, 'stats.sock');
    this.#pidFile = join(directory, 'pid');
    this.#emptyDirectory = join(directory, 'empty');
    this.#listeners = listeners;
    this.#threads = Math.max(1, Math.min(MAX_THREADS, cpus));
  }

  /** That serves new connections; undefined when there is none. */
  get current(): ProcessId | undefined {
    return this.#current !== undefined && isAlive(this.#current) ? this.#current : undefined;
  }

  /** Whether there is a connection to it. */
  get answers(): boolean {
    return this.#link !== undefined;
  }

  /** Makes the directory. Throws `unavailable` naming the package when HAProxy is absent, `invalid` for too long a path. */
  prepare(): void {
    toolPath('haproxy');
    if (Buffer.byteLength(this.#statsSocket) > LONGEST_SOCKET_PATH) {
      throw new PolykernelError('invalid', `the socket path ${this.#statsSocket} is too long for HAProxy`, {
        field: 'POLYKERNEL_HOME',
        value: this.#directory,
        hint: `Set POLYKERNEL_HOME to a shorter directory, such as ${ownShortDirectory()}.`,
      });
    }
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
    chmodSync(this.#directory, 0o700);
    mkdirSync(this.#emptyDirectory, { recursive: true, mode: 0o755 });
  }

  /**
   * Takes up the process that an earlier daemon recorded and left running; undefined when it does not run. connect() is
   * next.
   */
  adopt(): ProcessId | undefined {
    this.#current = this.#recorded();
    return this.#current;
  }

  /** Writes the configuration for the next start, readable by this user alone. */
  configure(services: readonly ServedService[]): void {
    const options: ConfigOptions = {
      statsSocket: this.#statsSocket,
      files: mostFiles() - OTHER_FILES,
      threads: this.#threads,
      bindNamespace: isRoot() ? HOST_NAMESPACE : null,
      confined: isRoot() ? { directory: this.#emptyDirectory, uid: proxyUid() } : null,
    };
    const text = renderConfig(services, options);
    if (readOrEmpty(this.#config) === text) return;
    writeFileSync(`${this.#config}.new`, text, { mode: 0o600 });
    renameSync(`${this.#config}.new`, this.#config);
  }

  /**
   * Starts a process for the configuration as it is, in the network namespace of that file; null: this one. It takes the
   * listening sockets over from one that runs, which then only finishes what it has; of many that do the oldest is ended.
   * Rejects with StartFailure; what ran goes on then.
   */
  async start(namespace: string | null): Promise<ProcessId> {
    // Ends one that hangs, so that its ports are free.
    await this.connect().catch(() => {});
    if (this.#current !== undefined && !isAlive(this.#current)) await released(this.#current);
    const before = this.#processes();
    const pid = await this.#launch(namespace, before, before.length > 0 && (await this.#listens()));
    const startTime = processStartTime(pid);
    if (startTime === undefined) throw new StartFailure('it ended at once');
    const byAge = before.toSorted((a, b) => a.startTime - b.startTime);
    for (const oldest of byAge.slice(0, -MOST_FINISHING)) signalProcess(oldest, 'SIGTERM');
    if (this.#link !== undefined) this.#retired.add(this.#link);
    this.#link = undefined;
    this.#current = { pid, startTime };
    writeFileSync(join(this.#directory, 'current'), `${pid} ${startTime}\n`, { mode: 0o600 });
    await this.connect();
    return this.#current;
  }

  /** Ends all processes and removes their files, if there are any. Rejects with `internal` when one does not end. */
  async stop(): Promise<void> {
    if (!existsSync(this.#directory)) return;
    this.#current = undefined;
    const links = [this.#link, ...this.#retired, ...this.#logs.values()];
    this.#link = undefined;
    this.#retired.clear();
    this.#logs.clear();
    for (const link of links) link?.close();
    await endProcesses(() => this.#processes(), `the HAProxy of ${this.#directory}`, END_DEADLINE_MS);
    for (const name of ['haproxy.cfg', 'haproxy.cfg.new', 'stats.sock', 'pid', 'current'])
      rmSync(join(this.#directory, name), { force: true });
    rmSync(this.#emptyDirectory, { recursive: true, force: true });
  }

  /** What all processes count. One that had its last connection is let go after that; it is then `last`. */
  async counts(): Promise<Counts[]> {
    const counts: Counts[] = [];
    for (const link of [this.#link, ...this.#retired]) {
      if (link === undefined) continue;
      const [info, stat] = await link.ask(['show info', 'show stat']).catch(() => []);
      if (info === undefined || stat === undefined) continue;
      const last = link !== this.#link && /^CurrConns: 0$/m.test(info);
      if (last) this.#letGo(link);
      counts.push({ pid: link.pid, rows: parseStat(stat), last });
    }
    return counts;
  }

  async servers(): Promise<ServerState[]> {
    const [text] = await this.command(['show servers state']);
    return parseServers(text!);
  }

  /** What the current process answers to commands. Rejects with `unavailable`. */
  async command(commands: readonly string[]): Promise<string[]> {
    await this.connect();
    return this.#link!.ask(commands);
  }

  /** The same, of all processes; none has to answer. */
  async commandAll(commands: readonly string[]): Promise<void> {
    for (const link of [this.#link, ...this.#retired]) await link?.ask(commands).catch(() => undefined);
  }

  /** Speaks to the current process. Rejects with `unavailable`; a process that lives and does not answer for seconds hangs, and is killed then. */
  async connect(): Promise<void> {
    const deadline = performance.now() + ANSWER_DEADLINE_MS;
    while (this.#link === undefined) {
      const process = this.current;
      const open = () => Link.open(this.#statsSocket, Math.max(1, deadline - performance.now())).catch(() => undefined);
      const link = process && (await open());
      const log = link && (await open());
      // Just after a hand-over the process before may still take a connection.
      if (process !== undefined && link?.pid === process.pid && log?.pid === process.pid)
        return this.#attach(link, log);
      link?.close();
      log?.close();
      const late = performance.now() > deadline;
      if (late && process !== undefined && !this.#closed) await kill(process);
      if (late || process === undefined) throw new PolykernelError('unavailable', 'HAProxy does not answer');
      await pause(POLL_MS);
    }
  }

  /** Lets go of all processes, which run on. */
  close(): void {
    this.#closed = true;
    for (const link of [this.#link, ...this.#retired, ...this.#logs.values()]) link?.close();
  }

  #attach(link: Link, log: Link): void {
    this.#link = link;
    this.#logs.get(log.pid)?.close();
    this.#logs.set(log.pid, log);
    log.follow(`show events ${LOG_RING} -w${this.#read === log.pid ? ' -n' : ''}`, this.#listeners.logged);
    this.#read = log.pid;
    void log.closed.then(() => {
      if (this.#logs.get(log.pid) === log) this.#logs.delete(log.pid);
    });
    void link.closed.then(() => {
      this.#letGo(link);
      if (this.#link !== link) return;
      this.#link = undefined;
      if (!this.#closed) this.#listeners.lost();
    });
  }

  #letGo(link: Link): void {
    this.#retired.delete(link);
    if (link === this.#link) return;
    link.close();
    const log = this.#logs.get(link.pid);
    this.#logs.delete(link.pid);
    // Its last lines may be on the way.
    setTimeout(() => log?.close(), LAST_LINES_MS).unref();
  }

  /** Resolves with the process number. */
  async #launch(namespace: string | null, before: readonly ProcessId[], handOver: boolean): Promise<number> {
    const { path, env } = toolPath('haproxy');
    const args = ['-f', this.#config, '-D', '-p', this.#pidFile];
    if (handOver) args.push('-x', this.#statsSocket);
    if (before.length > 0) args.push('-sf', ...before.map(({ pid }) => String(pid)));
    const argv = isRoot() ? [nativeBinary('pk-enter'), namespace ?? '-', path, ...args] : [path, ...args];
    const child = spawn(argv[0]!, argv.slice(1), {
      stdio: ['ignore', 'ignore', 'pipe'],
      detached: true,
      env: toolEnvironment(env),
      cwd: '/',
    });
    let complaint = '';
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      complaint = (complaint + text).slice(-16_384);
    });
    const timer = setTimeout(() => child.kill('SIGKILL'), START_DEADLINE_MS);
    const code = await new Promise<number | null>((resolve, reject) => {
      child.on('error', reject);
      child.on('close', resolve);
    }).finally(() => clearTimeout(timer));
    if (code !== 0) throw new StartFailure(alerts(complaint));
    return Number(readFileSync(this.#pidFile, 'latin1').trim().split('\n')[0]);
  }

  /** Whether there is a process to take listening sockets from. */
  #listens(): Promise<boolean> {
    return Link.open(this.#statsSocket, ANSWER_DEADLINE_MS).then(
      (link) => {
        link.close();
        return true;
      },
      () => false,
    );
  }

  /** All of this directory, the current one included, and the one that is recorded whoever it runs as. */
  #processes(): ProcessId[] {
    const recorded = this.#recorded();
    return readdirSync('/proc').flatMap((entry) => {
      const pid = Number(entry);
      if (!Number.isSafeInteger(pid)) return [];
      if (pid === recorded?.pid) return recorded;
      const startTime = isOurs(pid, this.#config) ? processStartTime(pid) : undefined;
      return startTime === undefined ? [] : { pid, startTime };
    });
  }

  #recorded(): ProcessId | undefined {
    return findProcess(join(this.#directory, 'current'), this.#config);
  }
}

/**
 * Anybody can have this command line, and whoever may not be looked into has files in /proc that are root's. So it is one of
 * the user that is HAProxy's alone, or one of ours that runs that program, as it does until it has its ports.
 */
function isOurs(pid: number, config: string): boolean {
  try {
    const uids = /^Uid:\t(.*)$/m
      .exec(readFileSync(`/proc/${pid}/status`, 'latin1'))![1]!
      .split('\t')
      .map(Number);
    const isAll = (uid: number | undefined) => uids.every((each) => each === uid);
    const isProxy = isRoot() && isAll(uids[0]) && isProxyUid(uids[0]!);
    // Before anything else of it: a VMM can keep its command line from being read.
    if (!isProxy && !isAll(process.getuid?.())) return false;
    const [name, flag, file] = commandLine(pid);
    if (basename(name!) !== 'haproxy' || flag !== '-f' || file !== config) return false;
    return isProxy || basename(readlinkSync(`/proc/${pid}/exe`)).startsWith('haproxy');
  } catch {
    return false;
  }
}

async function kill(process: ProcessId): Promise<void> {
  signalProcess(process, 'SIGKILL');
  await released(process);
}

/** Resolves when the ports of a killed process are free. */
async function released({ pid }: ProcessId): Promise<void> {
  const deadline = performance.now() + END_DEADLINE_MS;
  while (holdsFiles(pid) && performance.now() < deadline) await pause(POLL_MS);
}

/** A zombie does until its other threads are gone as well. */
function holdsFiles(pid: number): boolean {
  try {
    return readdirSync(`/proc/${pid}/task`).length > 1;
  } catch {
    return false;
  }
}

const isRoot = (): boolean => process.getuid?.() === 0;

/** What HAProxy complains of, without time and process number. */
function alerts(text: string): string {
  const lines = text.split('\n').flatMap((line) => /^\[ALERT\]\s+\(\d+\) : (?:\[.*?\] )?(.*)$/.exec(line)?.[1] ?? []);
  return lines.filter((line) => !line.startsWith('Fatal errors') && !line.startsWith('config : Fatal')).join('\n');
}

/** HAProxy raises its limit of open files as it needs, where it may; else that limit is what counts. */
function mostFiles(): number {
  const rights = /^CapEff:\s+(\S+)$/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1];
  if (rights !== undefined && (BigInt(`0x${rights}`) >> CAP_SYS_RESOURCE) & 1n)
    return Number(readFileSync('/proc/sys/fs/nr_open', 'latin1'));
  const limit = /^Max open files\s+\S+\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1];
  return limit === 'unlimited' ? Number.POSITIVE_INFINITY : Number(limit);
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
