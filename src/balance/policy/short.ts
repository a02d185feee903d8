/** Who gets what when services need more than there is: priorities first, then entitlements, the rest by what each has lent before. */
import { level } from './level.ts';
import { levelByRank, ranksOf } from './ranks.ts';

export interface Shortage {
  /** In pieces, of services: what none falls below, what each needs at the least and would have, and what is its own, which may be a part of one. */
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

/**
 * Entitlements, then whole needs, of those of one priority. Answers with what is left. Of an entitlement to 2.67 pieces two are one's own;
 * for the third, of which another one owns a part, whole needs come first.
 */
function serve(
  { needs, entitlements, credits }: Shortage,
  sizes: Float64Array,
  supply: number,
  isOf: (index: number) => boolean,
): number {
  let left = supply;
  const lack = (index: number) => Math.max(0, needs[index]! - sizes[index]!);
  const spread = (own: (index: number) => number): void => {
    const wants = sizes.map((size, index) =>
      isOf(index) ? Math.max(0, Math.min(needs[index]!, own(index)) - size) : 0,
    );
    const given = level(new Float64Array(sizes.length), wants, Math.max(0, left));
    for (let index = 0; index < sizes.length; index++) {
      sizes[index]! += given[index]!;
      left -= given[index]!;
    }
  };
  spread((index) => Math.floor(entitlements[index]! + 1e-9));
  const order = Array.from(sizes.keys())
    .filter((index) => isOf(index) && lack(index) > 0)
    .sort((a, b) => credits[b]! - credits[a]! || lack(a) - lack(b) || a - b);
  for (const index of order) {
    const missing = lack(index);
    if (missing > left) continue;
    sizes[index]! += missing;
    left -= missing;
  }
  spread((index) => Math.ceil(entitlements[index]! - 1e-9));
  return left;
}

/** One that would have more than it was given. */
interface Claim {
  index: number;
  gain: number;
  pieces: number;
}

/** What is left goes to whom it helps most, piece by piece; among equals to who was given least. */
function comfort({ wishes, priorities, gain }: Shortage, sizes: Float64Array, supply: number): void {
  const isBefore = (a: Claim, b: Claim) =>
    (priorities[b.index]! - priorities[a.index]! || b.gain - a.gain || a.pieces - b.pieces || a.index - b.index) < 0;
  // A heap: the first is before all others, and each before the two below it.
  const claims: Claim[] = [];
  for (const [index, size] of sizes.entries())
    if (wishes[index]! > size) claims.push({ index, gain: gain(index, size), pieces: 0 });
  for (let place = claims.length >> 1; place >= 0; place--) sink(claims, place, isBefore);
  for (let left = supply; left > 0 && claims.length > 0; left--) {
    const best = claims[0]!;
    sizes[best.index]! += 1;
    if (sizes[best.index]! < wishes[best.index]!) {
      best.gain = gain(best.index, sizes[best.index]!);
      best.pieces += 1;
    } else {
      const last = claims.pop()!;
      if (claims.length > 0) claims[0] = last;
    }
    sink(claims, 0, isBefore);
  }
}

/** Puts what stands at `from` where it belongs, in a heap that is one but for that. */
function sink<T>(heap: T[], from: number, isBefore: (a: T, b: T) => boolean): void {
  for (let place = from; ; ) {
    let first = place;
    for (let below = 2 * place + 1; below <= 2 * place + 2 && below < heap.length; below++)
      if (isBefore(heap[below]!, heap[first]!)) first = below;
    if (first === place) return;
    [heap[place], heap[first]] = [heap[first]!, heap[place]!];
    place = first;
  }
}
