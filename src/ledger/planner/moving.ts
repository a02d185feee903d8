/** What a plan could do if it were allowed to move what runs; only ever advice. */

import type { Need } from './choices.ts';
import { opening } from './opening.ts';
import { search } from './search.ts';
import { isSamePartition, settle } from './settle.ts';
import type { Site } from './site.ts';
import type { Placed, PlacementInput } from './types.ts';

/** Up to so many instances are tried one by one, to name the only one that has to move. */
const MOST_TRIED_ALONE = 16;

/** Advice is searched for many times over and need not be the best there is: it looks less far around than a plan. */
const ADVICE_BEAM = 8;

/**
 * For each of the `missing` needs that would have a place if what is kept could move: the names that would move. Nobody who
 * has a place in the plan may lose it.
 */
export function whatMovingAllows(
  site: Site,
  input: PlacementInput,
  placed: readonly Placed[],
  missing: readonly Need[],
): Map<Need, readonly string[]> {
  const kept = placed.filter((each) => each.kept);
  const found = new Map<Need, readonly string[]>();
  const alone = kept.length > 1 && kept.length <= MOST_TRIED_ALONE ? kept.map(({ name }) => [name]) : [];
  for (const names of [...alone, kept.map(({ name }) => name)]) {
    if (names.length === 0 || found.size === missing.length) break;
    const { room, needs } = opening(site, { ...input, move: new Set([...(input.move ?? []), ...names]) });
    const settled = settle(site, input.fixed, needs, search(room, needs, ADVICE_BEAM));
    const places = new Map([...settled].map(([need, { partition }]) => [need.name, partition]));
    if (placed.some(({ name }) => !places.has(name))) continue;
    const moved = kept.filter(({ name, partition }) => !isSamePartition(places.get(name)!, partition));
    for (const need of missing) {
      if (places.has(need.name) && !found.has(need))
        found.set(
          need,
          moved.map(({ name }) => name),
        );
    }
  }
  return found;
}
