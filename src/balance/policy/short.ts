/** Who gets what when services need more than there is: entitlements first, the rest by what each has lent before. */
import { level } from './level.ts';

export interface Shortage {
  /** In pieces, of services: what none falls below, what each needs at the least and would have, and what is its own. */
  floors: ArrayLike<number>;
  needs: ArrayLike<number>;
  wishes: ArrayLike<number>;
  entitlements: ArrayLike<number>;
  /** Higher ones are served first. */
  credits: ArrayLike<number>;
  /** Pieces for all of them. */
  supply: number;
}

/**
 * Nobody who needs no more than its entitlement gets less than it needs, as long as entitlements fit. What is left goes to whole
 * needs, in the order of credits, and among equal ones the smaller lack first: half of what it lacks helps no service to keep its
 * promise, so a lack that does not fit is passed over. What then remains is spread evenly, over those first who keep their promise with it.
 */
export function divide({ floors, needs, wishes, entitlements, credits, supply }: Shortage): Float64Array {
  const count = needs.length;
  const sizes = Float64Array.from({ length: count }, (_, index) => floors[index]!);
  let left = supply - sizes.reduce((a, b) => a + b, 0);
  const own = sizes.map((size, index) => Math.max(0, Math.min(needs[index]!, entitlements[index]!) - size));
  const given = level(new Float64Array(count), own, Math.max(0, left));
  for (let index = 0; index < count; index++) {
    sizes[index]! += given[index]!;
    left -= given[index]!;
  }
  const lack = (index: number) => Math.max(0, needs[index]! - sizes[index]!);
  const order = Array.from({ length: count }, (_, index) => index)
    .filter((index) => lack(index) > 0)
    .sort((a, b) => credits[b]! - credits[a]! || lack(a) - lack(b) || a - b);
  for (const index of order) {
    const missing = lack(index);
    if (missing > left) continue;
    sizes[index]! += missing;
    left -= missing;
  }
  if (left <= 0) return sizes;
  const kept = sizes.map((size, index) => (lack(index) === 0 ? Math.max(0, wishes[index]! - size) : 0));
  const comfort = level(new Float64Array(count), kept, left);
  for (let index = 0; index < count; index++) {
    sizes[index]! += comfort[index]!;
    left -= comfort[index]!;
  }
  const lost = sizes.map((_, index) => lack(index));
  const rest = level(new Float64Array(count), lost, Math.max(0, left));
  return sizes.map((size, index) => size + rest[index]!);
}
