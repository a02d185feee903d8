/** Starts the daemon of a state directory: of several clients one does it, the others wait. */
import { closeSync, openSync, readFileSync, rmSync, statSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { daemonEnvironment } from '../sys/environment.ts';
import { asPolykernelError, PolykernelError } from '../sys/errors.ts';
import { DAEMON_FLAGS, nodeCommand } from '../sys/node.ts';
import { cacheDirectory, type Layout, layout, startingMark } from '../sys/paths.ts';
import { CACHE, STATE, takePlace } from '../sys/places.ts';
import { processStartTime } from '../sys/process.ts';
import { StartedDaemon, tooLate } from './started-daemon.ts';

export const DAEMON = fileURLToPath(new URL('../daemon/main.ts', import.meta.url));
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
  const deadline = performance.now() + deadlineMs;
  for (;;) {
    const claim = claimStart(home);
    try {
      if (claim !== undefined) return await launch({ home, socket, log, answers }, deadline, signal);
    } finally {
      claim?.release();
    }
    // Another client is at it.
    if (await answers(socket)) return;
    if (performance.now() > deadline) throw tooLate(log);
    await sleep(POLL_MS, undefined, { signal });
  }
}

/** The right to start the daemon, or undefined while another live process has it. */
export function claimStart(home: string): { release(): void } | undefined {
  const path = startingMark(layout(home).socket);
  try {
    const file = openSync(path, 'wx', 0o600);
    writeSync(file, `${process.pid} ${processStartTime(process.pid)}`);
    closeSync(file);
    return { release: () => rmSync(path, { force: true }) };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST')
      throw asPolykernelError(error, `writing to the state directory ${home}`);
  }
  if (isStaleClaim(path)) rmSync(path, { force: true });
  return undefined;
}

/** A claim of a process that is gone, or that takes longer than any start does. */
function isStaleClaim(path: string): boolean {
  try {
    const age = Date.now() - statSync(path).mtimeMs;
    const [pid, startTime] = readFileSync(path, 'latin1').split(' ').map(Number);
    // Just created and not yet written: not stale.
    if (pid === undefined || startTime === undefined) return age > 1000;
    return age > 60_000 || processStartTime(pid) !== startTime;
  } catch {
    return false;
  }
}

async function launch(
  { home, socket, log, answers }: { home: string; socket: string; log: string; answers: Answers },
  deadline: number,
  signal?: AbortSignal,
): Promise<void> {
  // It may have come up between our first look and the claim.
  if (await answers(socket)) return;
  const argv = nodeCommand(DAEMON, ['--home', home, '--ready-fd', '3'], DAEMON_FLAGS);
  const daemon = new StartedDaemon(argv, daemonEnvironment(), log);
  try {
    const said = await daemon.next(deadline, signal);
    if (!('error' in said)) return;
    // A daemon started by hand in this moment holds the state directory: it is the one to use.
    if (said.error.code === 'conflict' && (await answers(socket))) return;
    throw PolykernelError.fromJSON(said.error);
  } finally {
    daemon.letGo();
  }
}
