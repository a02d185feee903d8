/**
 * The planner: what should run in, a partition with reasons for each out, or a refusal that says exactly what is short.
 * Pure and deterministic. The objective is in planner/points.ts, the method in planner/search.ts.
 *
 * INVARIANTS of a result (tested)
 * - P1 Together with `fixed`, the partitions keep the invariants of the ledger (ledger.ts): nothing is owned twice, and
 *   everything is in the pool.
 * - P2 Every partition satisfies its request. One of whole cores owns every online thread of each of its cores.
 * - P3 What has a partition that still satisfies its request keeps exactly that, unless `move` names it; of one that
 *   satisfies it in part (CPUs, memory or devices), the parts that do are kept.
 * - P4 The result does not depend on the order of keys, only on values and the order of `requests`.
 */
import { costOf } from './planner/cost.ts';
import { whatMovingAllows } from './planner/moving.ts';
import { opening, partitionOf } from './planner/opening.ts';
import { refusalOf } from './planner/refusal.ts';
import { Room } from './planner/room.ts';
import { search } from './planner/search.ts';
import { isSamePartition, settle } from './planner/settle.ts';
import { siteOf } from './planner/site.ts';
import type { PlacementInput, PlacementResult, Refused } from './planner/types.ts';
import { vcpusOf } from './request.ts';
import type { Partition } from './types.ts';

/** Places many requests at once. Throws nothing: what cannot be placed is in `refused`. */
export function place(input: PlacementInput): PlacementResult {
  const site = siteOf(input.topology, input.pool);
  const { room, needs } = opening(site, input);
  const plan = search(room, needs);
  const settled = settle(site, input.fixed, needs, plan);
  const placed = needs.flatMap((need) => {
    const { current } = input.requests[need.index]!;
    const place = settled.get(need);
    if (place === undefined) return [];
    const { cpus, reasons } = place;
    const kept = current !== null && isSamePartition(current, place.partition);
    return [
      {
        name: need.name,
        partition: place.partition,
        vcpuCpus: cpus.slice(0, vcpusOf(need.request.cpus)),
        reasons,
        kept,
      },
    ];
  });
  const partitions = Object.fromEntries(placed.map(({ name, partition }) => [name, partition]));
  const missing = needs.filter((need) => !settled.has(need));
  return { placed, refused: refusals(), cost: costOf(site, input.fixed, partitions, missing.length) };

  function refusals(): Refused[] {
    if (missing.length === 0) return [];
    const held = missing.map(({ name, request, held }) => [name, partitionOf(held, request.memory.hugePageBytes)]);
    const owners = { ...input.fixed, ...partitions, ...Object.fromEntries(held) };
    const left = Room.beside(site, owners);
    const moving = whatMovingAllows(site, input, placed, missing);
    return missing.map((need) => ({ name: need.name, ...refusalOf(left, need, owners, moving.get(need) ?? []) }));
  }
}

/** Points of a plan, whoever made it: `partitions` by name for the requests of `input` that have a place in it. */
export function placementCost(input: PlacementInput, partitions: Readonly<Record<string, Partition>>): number {
  const refused = input.requests.filter(({ name }) => !Object.hasOwn(partitions, name)).length;
  return costOf(siteOf(input.topology, input.pool), input.fixed, partitions, refused);
}
