/** Long work in slices, between which everything else goes on: a generator that yields at the end of each. */
import { setImmediate as nextTurn } from 'node:timers/promises';

/** Work that may be left for a while wherever it yields. */
export type Slices<T> = Generator<void, T>;

/** All of it, whatever waits. */
export function atOnce<T>(slices: Slices<T>): T {
  for (;;) {
    const slice = slices.next();
    if (slice.done === true) return slice.value;
  }
}

/** Each in a turn of its own. Rejects with what it throws. */
export async function inTurns<T>(slices: Slices<T>): Promise<T> {
  for (;;) {
    const slice = slices.next();
    if (slice.done === true) return slice.value;
    await nextTurn();
  }
}
