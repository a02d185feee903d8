/** For those who follow something that outlives its daemon: waits for the next one, and says so. */
import { setTimeout as sleep } from 'node:timers/promises';
import { PolykernelError } from '../sys/errors.ts';
import { startingMark, stoppedMark } from '../sys/paths.ts';

// Not by `import`: see src/sys/node.ts.
const { existsSync } = process.getBuiltinModule('node:fs');

/** How long another daemon may take to come: where the last one was stopped on purpose, and else. */
const STOPPED_MS = 5_000;
const GONE_MS = 30_000;
/** Nobody needs to hear of less; and of an upgrade, which somebody else waits for. */
const SILENT_MS = 2_000;
const STARTING_MS = 10_000;
/** A service manager is faster. */
const REVIVE_MS = 1_000;
const PAUSE_MS = 10;

export interface Waiting {
  /** Told once what is waited for, in a line for people, if that takes longer than an upgrade does. */
  say?: ((text: string) => void) | undefined;
  signal?: AbortSignal | undefined;
  /** Starts one, where the last one was killed and nobody else does. */
  revive?: (() => Promise<unknown>) | undefined;
  /** Whether nobody waits any more. */
  isOver?: () => boolean;
}

/**
 * What `connect` gives once a daemon answers on `socketPath`. Rejects with what `connect` rejects with unless that is `unavailable`,
 * with `unavailable` when none comes in time, or the reason of the signal.
 */
export async function nextDaemon<T>(socketPath: string, connect: () => Promise<T>, waiting: Waiting = {}): Promise<T> {
  const { say, signal, isOver } = waiting;
  let { revive } = waiting;
  const began = performance.now();
  for (let isSaid = false; ; await sleep(PAUSE_MS)) {
    signal?.throwIfAborted();
    if (isOver?.()) throw new PolykernelError('unavailable', 'the connection to the daemon was let go');
    try {
      return await connect();
    } catch (error) {
      if (!isAway(error)) throw error;
    }
    const isStopped = existsSync(stoppedMark(socketPath));
    const isStarting = existsSync(startingMark(socketPath));
    const [mostMs, what] = isStopped && !isStarting ? [STOPPED_MS, 'was stopped'] : [GONE_MS, 'is gone'];
    const waited = performance.now() - began;
    if (waited > mostMs) {
      throw new PolykernelError('unavailable', `the daemon ${what}, and no other came within ${mostMs / 1000} s`, {
        hint: 'Kernels run on: `pk daemon start` takes them up again, as any other command does.',
      });
    }
    if (revive !== undefined && !isStopped && waited > REVIVE_MS && !isStarting) {
      // What keeps it from starting is told by who waits: that none came.
      void revive().catch(() => {});
      revive = undefined;
    }
    const silentMs = isStarting ? STARTING_MS : isStopped ? 0 : SILENT_MS;
    if (isSaid || waited < silentMs) continue;
    isSaid = true;
    say?.(`the daemon ${what}: waiting ${mostMs / 1000} s for another one (pk daemon start)`);
  }
}

/** Whether no daemon answered, or the connection to it was cut. */
export const isAway = (error: unknown): boolean => error instanceof PolykernelError && error.code === 'unavailable';
