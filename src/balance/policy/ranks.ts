/** Levelling by priority: who has a higher one is served first. */
import type { Kernel } from '../types.ts';
import { level } from './level.ts';

/** The priorities that there are, the highest first. */
export function ranksOf(priorities: ArrayLike<number>): number[] {
  const found = new Set<number>();
  for (let index = 0; index < priorities.length; index++) found.add(priorities[index]!);
  return [...found].sort((a, b) => b - a);
}

export function prioritiesOf(kernels: readonly Pick<Kernel, 'priority'>[]): Float64Array {
  const priorities = new Float64Array(kernels.length);
  for (let index = 0; index < priorities.length; index++) priorities[index] = kernels[index]!.priority;
  return priorities;
}

/** As `level`, those of one priority after those of a higher one. */
export function levelByRank(
  priorities: ArrayLike<number>,
  heights: ArrayLike<number>,
  wants: ArrayLike<number>,
  supply: number,
): Float64Array {
  const ranks = ranksOf(priorities);
  if (ranks.length <= 1) return level(heights, wants, supply);
  const got = new Float64Array(wants.length);
  let left = supply;
  for (const rank of ranks) {
    const own = Float64Array.from(wants, (want, index) => (priorities[index] === rank ? want : 0));
    const given = level(heights, own, left);
    for (let index = 0; index < got.length; index++) {
      got[index]! += given[index]!;
      left -= given[index]!;
    }
  }
  return got;
}
