/** Finds the daemon of a state directory, or starts it. Two clients that race start one daemon. */
import { spawn } from 'node:child_process';
import { closeSync, constants, openSync, readFileSync, rmSync, statSync, writeSync } from 'node:fs';
import { connect as connectSocket } from 'node:net';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { daemonEnvironment } from '../sys/environment.ts';
import { asPolykernelError, type ErrorBody, PolykernelError } from '../sys/errors.ts';
import { nodeCommand } from '../sys/node.ts';
import { cacheDirectory, checkSocketPath, home as defaultHome, layout } from '../sys/paths.ts';
import { CACHE, checkSocket, STATE, takePlace } from '../sys/places.ts';
import { Client } from './client.ts';

export interface ConnectOptions {
  /** State directory; default: that of the environment. */
  home?: string;
  /** Start a daemon when none answers. Default true. */
  start?: boolean;
  signal?: AbortSignal;
  /** How long a daemon may take to answer. Default 20 s. */
  deadlineMs?: number;
}

const DAEMON = fileURLToPath(new URL('../daemon/main.ts', import.meta.url));
const POLL_MS = 15;

/** Flags that keep the daemon small; its garbage is short-lived and its heap a few megabytes. */
export const DAEMON_FLAGS = ['--max-semi-space-size=1', '--disable-warning=ExperimentalWarning'];

/**
 * A client whose daemon answers. Rejects with `unavailable` (none runs, or none came up in time), `permission`, or what
 * the daemon said when it could not start.
 */
export async function connect(options: ConnectOptions = {}): Promise<Client> {
  const paths = layout(options.home ?? defaultHome());
  checkSocketPath(paths.socket);
  checkSocket(paths.socket, STATE);
  if (await answers(paths.socket)) return new Client(paths.socket);
  if (options.start === false) {
    throw new PolykernelError('unavailable', `no daemon runs for ${paths.home}`, {
      hint: 'Start one with `pk daemon`.',
    });
  }
  await startDaemon(paths.home, paths.socket, paths.daemonLog, options.deadlineMs ?? 20_000, options.signal);
  return new Client(paths.socket);
}

/**
 * Whether a daemon answers. Being connected is not enough: the socket of one that is being killed still takes connections.
 * Throws `permission` when this user may not know.
 */
function answers(socketPath: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connectSocket({ path: socketPath });
    socket.once('connect', () => socket.write('GET /v1/version HTTP/1.1\r\nHost: daemon\r\nConnection: close\r\n\r\n'));
    socket.once('data', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('close', () => resolve(false));
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EACCES' && error.code !== 'EPERM') return resolve(false);
      reject(
        new PolykernelError('permission', `this user may not use the daemon on ${socketPath}`, {
          hint: 'Set POLYKERNEL_HOME to a directory of your own, or run as the user who owns the daemon.',
        }),
      );
    });
  });
}

async function startDaemon(
  home: string,
  socket: string,
  log: string,
  deadlineMs: number,
  signal?: AbortSignal,
): Promise<void> {
  takePlace(home, STATE);
  // Node runs what it compiled there, before the daemon can look.
  takePlace(cacheDirectory(), CACHE);
  const deadline = Date.now() + deadlineMs;
  for (;;) {
    const claim = claimStart(home);
    try {
      if (claim !== undefined) return await launch(home, socket, log, deadline, signal);
    } finally {
      claim?.release();
    }
    // Another client is at it.
    if (await answers(socket)) return;
    if (Date.now() > deadline) throw tooLate(log);
    await sleep(POLL_MS, undefined, { signal });
  }
}

/** The right to start the daemon, or undefined while another live process has it. */
function claimStart(home: string): { release(): void } | undefined {
  const path = join(home, 'daemon.starting');
  try {
    const file = openSync(path, 'wx', 0o600);
    writeSync(file, String(process.pid));
    closeSync(file);
    return { release: () => rmSync(path, { force: true }) };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST')
      throw asPolykernelError(error, `writing to the state directory ${home}`);
  }
  if (isStaleClaim(path)) rmSync(path, { force: true });
  return undefined;
}

/** A claim of a process that is gone, or so old that its pid may be another's. */
function isStaleClaim(path: string): boolean {
  try {
    const age = Date.now() - statSync(path).mtimeMs;
    const pid = Number(readFileSync(path, 'latin1'));
    // Just created and not yet written: not stale.
    if (!(pid > 0)) return age > 1000;
    if (age > 60_000) return true;
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}

async function launch(
  home: string,
  socket: string,
  log: string,
  deadline: number,
  signal?: AbortSignal,
): Promise<void> {
  // It may have come up between our first look and the claim.
  if (await answers(socket)) return;
  const output = openSync(
    log,
    constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW,
    0o600,
  );
  const [node, ...args] = nodeCommand(DAEMON, ['--home', home, '--ready-fd', '3'], DAEMON_FLAGS);
  const child = spawn(node!, args, {
    cwd: '/',
    detached: true,
    env: daemonEnvironment(),
    stdio: ['ignore', output, output, 'pipe'],
  });
  closeSync(output);
  const pipe = child.stdio[3] as Readable;
  let said = '';
  pipe.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  pipe.on('error', () => {});
  let ended = false;
  child.on('error', () => {
    ended = true;
  });
  pipe.on('close', () => {
    ended = true;
  });
  try {
    for (;;) {
      if (said.includes('\n')) {
        const answer = JSON.parse(said.slice(0, said.indexOf('\n'))) as { ready: true } | { error: ErrorBody };
        if ('ready' in answer) return;
        // A daemon started by hand in this moment holds the state directory: it is the one to use.
        if (answer.error.code === 'conflict' && (await answers(socket))) return;
        throw PolykernelError.fromJSON(answer.error);
      }
      if (ended) throw new PolykernelError('internal', 'the daemon ended while it started', { hint: `See ${log}.` });
      if (Date.now() > deadline) throw tooLate(log);
      await sleep(POLL_MS, undefined, { signal });
    }
  } finally {
    pipe.destroy();
    child.unref();
  }
}

const tooLate = (log: string) =>
  new PolykernelError('unavailable', 'the daemon did not answer in time', { hint: `See ${log}.` });
