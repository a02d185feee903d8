/**
 * This version's daemon takes over from the one that runs, of whatever version. The new one is loaded and has looked at the
 * state before the old one is asked to end; kernels run on meanwhile. When the new one does not come to serve, the old one is
 * started again as it was.
 */
import { copyFileSync, existsSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { daemonEnvironment } from '../sys/environment.ts';
import { asPolykernelError, PolykernelError } from '../sys/errors.ts';
import { DAEMON_FLAGS, nodeCommand } from '../sys/node.ts';
import { cacheDirectory, type Layout } from '../sys/paths.ts';
import { CACHE, takePlace } from '../sys/places.ts';
import { processStartTime } from '../sys/process.ts';
import { asideParts } from '../sys/state-copies.ts';
import type { Client } from './client.ts';
import { type DaemonProcess, daemonProcessHere } from './daemon-process.ts';
import { claimStart, DAEMON } from './start.ts';
import { type Said, StartedDaemon } from './started-daemon.ts';

/** To load and to look at the state, on a machine that has other work. */
const LOAD_MS = 60_000;
/** A daemon ends itself after 10 s whatever hangs. */
const END_MS = 15_000;
const SERVE_MS = 30_000;
const POLL_MS = 3;
/** What the caller has of these is the new daemon's: among them where the new version was set up. All else is as the old one had it. */
const OWN = /^(POLYKERNEL_.*|HOME|XDG_CACHE_HOME)$/;

/** What came of it. Times are in ms. */
export interface Succession {
  from: { version: string; pid: number };
  to: { version: string; pid: number };
  /** From when the old one was asked to end until the new one served. */
  awayMs: number;
}

/** What a daemon was started with, to start it again. */
interface Predecessor extends DaemonProcess {
  argv: string[];
  env: Record<string, string>;
}

/**
 * Rejects with `conflict` or `unavailable` when this version cannot have the state, with `unsupported` when the daemon's process is not
 * seen from here, before anything was changed, or with what kept the new daemon from serving, when the old one serves again (the message says so).
 */
export async function succeed(client: Client, paths: Layout, say: (text: string) => void): Promise<Succession> {
  const from = await client.version();
  const old = predecessorOf(daemonProcessHere(from.pid, paths));
  const claim = claimStart(paths.home);
  if (claim === undefined)
    throw new PolykernelError('conflict', 'a daemon is being started just now', { hint: 'Try again.' });
  let successor: StartedDaemon | undefined;
  try {
    say('loading the new version and looking at the state');
    takePlace(cacheDirectory(), CACHE);
    const argv = nodeCommand(DAEMON, ['--home', paths.home, '--ready-fd', '3', '--stand-by'], DAEMON_FLAGS);
    const settings = Object.entries(process.env).filter(([name]) => OWN.test(name));
    const { POLYKERNEL_CACHE: _, XDG_CACHE_HOME: __, ...kept } = old.env;
    const env = daemonEnvironment({ ...kept, ...Object.fromEntries(settings) });
    successor = new StartedDaemon(argv, env, paths.daemonLog, true);
    const standing = orThrow(await successor.next(performance.now() + LOAD_MS));
    const version = 'standingBy' in standing ? standing.standingBy : from.version;
    say(`handing over from ${from.version} (pid ${from.pid}) to ${version} (pid ${successor.pid})`);
    const asked = performance.now();
    await client.shutdown();
    await untilGone(old);
    await takeOver(successor, old, paths);
    const awayMs = Math.round(performance.now() - asked);
    return { from: { version: from.version, pid: from.pid }, to: { version, pid: successor.pid! }, awayMs };
  } finally {
    // One that was not told to go on ends with its standard input.
    successor?.letGo();
    claim.release();
  }
}

/** Whether this version could take over, without doing so. Rejects as succeed() does before it changes anything. */
export async function checkSuccession(paths: Layout): Promise<void> {
  const argv = nodeCommand(DAEMON, ['--home', paths.home, '--ready-fd', '3', '--stand-by'], DAEMON_FLAGS);
  const successor = new StartedDaemon(argv, daemonEnvironment(), paths.daemonLog, true);
  try {
    orThrow(await successor.next(performance.now() + LOAD_MS));
  } finally {
    successor.letGo();
  }
}

async function takeOver(successor: StartedDaemon, old: Predecessor, paths: Layout): Promise<void> {
  const kept = keepState(paths.database);
  try {
    successor.tell('go\n');
    orThrow(await successor.next(performance.now() + SERVE_MS));
  } catch (cause) {
    const error = asPolykernelError(cause, 'starting the new daemon');
    successor.kill();
    await untilGone({ pid: successor.pid!, startTime: processStartTime(successor.pid!) });
    const outcome = await startAgain(old, paths)
      .catch((failure: PolykernelError) => {
        // It cannot read what the new one has written in this moment.
        if (failure.code !== 'unavailable') throw failure;
        kept.restore();
        return startAgain(old, paths);
      })
      .then(
        () => 'the old version serves again',
        (failure) => `and the old version could not be started again: ${failure.message}`,
      );
    const { field, value, hint } = error;
    throw new PolykernelError(error.code, `the new daemon did not come to serve: ${error.message}; ${outcome}`, {
      field,
      value,
      hint: hint ?? `See ${paths.daemonLog}.`,
      cause: error,
    });
  } finally {
    kept.drop();
  }
}

/** A copy of the database while nobody has it. */
function keepState(database: string): { restore(): void; drop(): void } {
  const parts = asideParts(database);
  const drop = () => {
    for (const { aside } of parts) rmSync(aside, { force: true });
  };
  drop();
  for (const { part, aside } of parts) if (existsSync(part)) copyFileSync(part, aside);
  return {
    restore() {
      for (const part of ['', '-wal', '-shm']) rmSync(database + part, { force: true });
      for (const { part, aside } of parts) if (existsSync(aside)) renameSync(aside, part);
    },
    drop,
  };
}

async function startAgain(old: Predecessor, paths: Layout): Promise<void> {
  // One that was started by hand says nothing.
  const argv = old.argv.some((text) => text.endsWith('--ready-fd'))
    ? old.argv.filter((text) => !text.endsWith('--stand-by'))
    : [...old.argv, '=--ready-fd', '=3'];
  const daemon = new StartedDaemon(argv, old.env, paths.daemonLog);
  try {
    orThrow(await daemon.next(performance.now() + SERVE_MS));
  } finally {
    daemon.letGo();
  }
}

function orThrow(said: Said): Said {
  if ('error' in said) throw PolykernelError.fromJSON(said.error);
  return said;
}

async function untilGone({ pid, startTime }: { pid: number; startTime: number | undefined }): Promise<void> {
  if (startTime === undefined) return;
  for (const deadline = performance.now() + END_MS; processStartTime(pid) === startTime; await sleep(POLL_MS)) {
    if (performance.now() > deadline)
      throw new PolykernelError('internal', `the daemon (pid ${pid}) did not end in ${END_MS / 1000} s`);
  }
}

function predecessorOf(process: DaemonProcess): Predecessor {
  try {
    const texts = (name: string) => readFileSync(`/proc/${process.pid}/${name}`, 'utf8').split('\0').slice(0, -1);
    const pairs = texts('environ').map((text) => [text.slice(0, text.indexOf('=')), text.slice(text.indexOf('=') + 1)]);
    return { ...process, argv: texts('cmdline'), env: Object.fromEntries(pairs) };
  } catch (error) {
    throw asPolykernelError(error, `looking at the daemon that runs (pid ${process.pid})`);
  }
}
