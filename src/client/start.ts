/** Starts the daemon of a state directory: of several clients one does it, the others wait. */
import { spawn } from 'node:child_process';
import { closeSync, constants, openSync, readFileSync, rmSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { daemonEnvironment } from '../sys/environment.ts';
import { asPolykernelError, type ErrorBody, PolykernelError } from '../sys/errors.ts';
import { DAEMON_FLAGS, nodeCommand } from '../sys/node.ts';
import { cacheDirectory, type Layout } from '../sys/paths.ts';
import { CACHE, STATE, takePlace } from '../sys/places.ts';

const DAEMON = fileURLToPath(new URL('../daemon/main.ts', import.meta.url));
const POLL_MS = 15;

type Answers = (socketPath: string) => Promise<boolean>;

/** Resolves once the daemon of `paths` answers. Rejects as connect() does. */
export async function startDaemon(
  { home, socket, daemonLog: log }: Layout,
  answers: Answers,
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
      if (claim !== undefined) return await launch({ home, socket, log, answers }, deadline, signal);
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
  { home, socket, log, answers }: { home: string; socket: string; log: string; answers: Answers },
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
