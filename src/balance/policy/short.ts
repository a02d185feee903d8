/** Who gets what when services need more than there is: priorities first, then entitlements, the rest by what each has lent before. */
import { level } from './level.ts';
import { levelByRank, ranksOf } from './ranks.ts';

export interface Shortage {
  /** In pieces, of services: what none falls below, what each needs at the least and would have, and what is its own. */
  floors: ArrayLike<number>;
  needs: ArrayLike<number>;
  wishes: ArrayLike<number>;
  entitlements: ArrayLike<number>;
  /** Higher ones are served first: of all, and of those of one priority. */
  priorities: ArrayLike<number>;
  credits: ArrayLike<number>;
  /** What one gains by a piece more than so many. */
  gain(index: number, size: number): number;
  /** Pieces for all of them. */
  supply: number;
}

/**
 * Whatever their priorities, all keep their floors. Those of the highest priority then get what they need, and what is left goes to
 * the next ones; within a priority, nobody who needs no more than its entitlement gets less than it needs, as long as entitlements fit.
 * What is left goes to whole needs, in the order of credits, and among equal ones the smaller lack first: half of what it lacks helps
 * no service to keep its promise, so a lack that does not fit is passed over. What then remains is spread evenly, over those first who
 * keep their promise with it; of those of a higher priority who do not, nobody of a lower one has anything before they have it all.
 */
export function divide(shortage: Shortage): Float64Array {
  const { floors, needs, priorities, supply } = shortage;
  const sizes = Float64Array.from({ length: needs.length }, (_, index) => floors[index]!);
  let left = supply - sizes.reduce((a, b) => a + b, 0);
  const lack = (index: number) => Math.max(0, needs[index]! - sizes[index]!);
  const spread = (wants: ArrayLike<number>): void => {
    const given = levelByRank(priorities, new Float64Array(sizes.length), wants, Math.max(0, left));
    for (let index = 0; index < sizes.length; index++) {
      sizes[index]! += given[index]!;
      left -= given[index]!;
    }
  };
  const ranks = ranksOf(priorities);
  for (const [place, rank] of ranks.entries()) {
    const isOf = (index: number) => priorities[index] === rank;
    left = serve(shortage, sizes, left, isOf);
    if (place < ranks.length - 1) spread(sizes.map((_, index) => (isOf(index) ? lack(index) : 0)));
  }
  if (left <= 0) return sizes;
  comfort(shortage, sizes, left);
  return sizes;
}

/** Entitlements, then whole needs, of those of one priority. Answers with what is left. */
function serve(
  { needs, entitlements, credits }: Shortage,
  sizes: Float64Array,
  supply: number,
  isOf: (index: number) => boolean,
): number {
  let left = supply;
  const lack = (index: number) => Math.max(0, needs[index]! - sizes[index]!);
  const own = sizes.map((size, index) =>
    isOf(index) ? Math.max(0, Math.min(needs[index]!, entitlements[index]!) - size) : 0,
  );
  const given = level(new Float64Array(sizes.length), own, Math.max(0, left));
  for (let index = 0; index < sizes.length; index++) {
    sizes[index]! += given[index]!;
    left -= given[index]!;
  }
  const order = Array.from(sizes.keys())
    .filter((index) => isOf(index) && lack(index) > 0)
    .sort((a, b) => credits[b]! - credits[a]! || lack(a) - lack(b) || a - b);
  for (const index of order) {
    const missing = lack(index);
    if (missing > left) continue;
    sizes[index]! += missing;
    left -= missing;
  }
  return left;
}

/** What is left goes to whom it helps most, piece by piece; among equals to who was given least. */
function comfort({ wishes, priorities, gain }: Shortage, sizes: Float64Array, supply: number): void {
  const given = new Map<number, { gain: number; pieces: number }>();
  for (const [index, size] of sizes.entries())
    if (wishes[index]! > size) given.set(index, { gain: gain(index, size), pieces: 0 });
  for (let left = supply; left > 0 && given.size > 0; left--) {
    let best = -1;
    for (const [index, each] of given) {
      const other = given.get(best);
      const order =
        other === undefined
          ? -1
          : priorities[best]! - priorities[index]! || other.gain - each.gain || each.pieces - other.pieces;
      if (order < 0) best = index;
    }
    sizes[best]! += 1;
    if (sizes[best]! >= wishes[best]!) given.delete(best);
    else given.set(best, { gain: gain(best, sizes[best]!), pieces: given.get(best)!.pieces + 1 });
  }
}
