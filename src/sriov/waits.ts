/** Waiting for a kernel that does things in its own time. */
import type { Clock } from '../sys/clock.ts';
import { PolykernelError } from '../sys/errors.ts';

const LOOK_MS = 20;

/** Looks until there is something, at most `mostMs`: undefined then. Rejects with the signal's reason. */
export async function until<T>(
  look: () => Promise<T | undefined>,
  mostMs: number,
  clock: Clock,
  signal?: AbortSignal,
): Promise<T | undefined> {
  const end = clock.monotonic() + mostMs;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    signal?.throwIfAborted();
    if (clock.monotonic() >= end) return undefined;
    await new Promise<void>((resolve) => clock.after(LOOK_MS, resolve));
  }
}

/** As `work` ends, or rejects with `unavailable` after `mostMs`: the kernel may be at it still. */
export function within<T>(work: Promise<T>, mostMs: number, clock: Clock, doing: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(mostMs, () =>
      reject(
        new PolykernelError('unavailable', `${doing} takes longer than ${Math.round(mostMs / 1000)} s`, {
          hint: 'The kernel cannot be told to stop, and may be at it still: see `dmesg`, then `pk sriov ls`.',
        }),
      ),
    );
    work.then(resolve, reject).finally(cancel);
  });
}
