/** From what kernels should have to what there is: bounds, whole pieces, and the pool's size. */
import type { Reason, Window, Wish } from '../types.ts';
import { levelByRank, prioritiesOf } from './ranks.ts';

/** Smallest number of pieces that holds `cpus`; what rounding errors add is no piece. */
export const pieces = (cpus: number, grain: number): number => Math.ceil(cpus / grain - 1e-9);

/** Pieces of each bound, of which the floor rounds up and the ceiling down. */
export function bounds({ kernels, grain }: Window, index: number): [least: number, most: number] {
  const { min, max } = kernels[index]!;
  const least = pieces(min, grain);
  return [least, Math.max(least, Math.floor(max / grain + 1e-9))];
}

/**
 * Sizes for all when services should have `wants` CPUs: floors first, then services, those of one priority after those of a higher one,
 * who share max-min what is there when it is too little; batch kernels get the rest, in the same order. `wants` of batch kernels are not looked at; nothing is said of kernels that are
 * unknown, they keep what they have. `reason` is asked only of kernels whose size changes.
 */
export function allot(window: Window, wants: ArrayLike<number>, reason: (index: number) => Reason): Wish[] {
  const { kernels, grain } = window;
  const count = kernels.length;
  const floors = new Float64Array(count);
  const asked = new Float64Array(count);
  const spare = new Float64Array(count);
  let left = Math.floor(window.cpus / grain + 1e-9);
  for (let index = 0; index < count; index++) {
    const [least, most] = boundsNow(window, index);
    const service = kernels[index]!.kind === 'service';
    floors[index] = least;
    asked[index] = service ? Math.min(most, Math.max(least, pieces(wants[index]!, grain))) - least : 0;
    spare[index] = service ? 0 : most - least;
    left -= least;
  }
  const same = new Float64Array(count);
  const priorities = prioritiesOf(kernels);
  const given = levelByRank(priorities, same, asked, Math.max(0, left));
  for (let index = 0; index < count; index++) left -= given[index]!;
  const rest = levelByRank(priorities, same, spare, Math.max(0, left));
  const sizes = floors;
  for (let index = 0; index < count; index++) sizes[index]! += given[index]! + rest[index]!;
  return wishes(window, sizes, (index) => {
    const { kind, priority } = kernels[index]!;
    if (kind === 'batch') return { rule: 'rest' };
    const isOutranked =
      given[index]! < asked[index]! && kernels.some((other, each) => other.priority > priority && given[each]! > 0);
    return isOutranked ? { rule: 'outranked', wanted: wants[index]!, priority } : reason(index);
  });
}

/** What a kernel may have now: one that is not heard of stays as large as it is. */
export function boundsNow(window: Window, index: number): [least: number, most: number] {
  const seen = window.observations[index]!;
  if (seen.known) return bounds(window, index);
  const now = pieces(seen.cpus, window.grain);
  return [now, now];
}

/** The wishes that make `sizes`, in pieces, of what is. */
export function wishes(window: Window, sizes: ArrayLike<number>, reason: (index: number) => Reason): Wish[] {
  const found: Wish[] = [];
  for (let index = 0; index < window.kernels.length; index++) {
    const seen = window.observations[index]!;
    const cpus = sizes[index]! * window.grain;
    if (seen.known && Math.abs(cpus - seen.cpus) > 1e-9) found.push({ index, cpus, reason: reason(index) });
  }
  return found;
}
