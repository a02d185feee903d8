/** What a workload is told whose client is gone, as when a terminal goes. */
import { constants } from 'node:os';
import type { GuestProcess } from '../guest/index.ts';
import type { Clock } from '../sys/clock.ts';

/** How long it has for its last words: as the agent gives a command of `pk exec`. */
const GRACE_MS = 2_000;

/** Tells it, and waits for its end, as long as it may take for that. Whether it has ended; never rejects. */
export async function hangUp(workload: GuestProcess | undefined, clock: Clock): Promise<boolean> {
  if (workload === undefined) return false;
  workload.signal(constants.signals.SIGHUP);
  workload.signal(constants.signals.SIGCONT);
  const { promise: late, resolve } = Promise.withResolvers<void>();
  const cancel = clock.after(GRACE_MS, resolve);
  await Promise.race([workload.exited, late]);
  cancel();
  return workload.exit !== undefined;
}
