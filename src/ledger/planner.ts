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
import type { Topology } from '../topology/topology.ts';
import { costOf } from './planner/cost.ts';
import { whatMovingAllows } from './planner/moving.ts';
import { opening, partitionOf } from './planner/opening.ts';
import { refusalOf } from './planner/refusal.ts';
import { Room } from './planner/room.ts';
import { search } from './planner/search.ts';
import { isSamePartition, settle } from './planner/settle.ts';
import { siteOf } from './planner/site.ts';
import { vcpusOf } from './request.ts';
import type { Partition, PartitionRequest, Pool } from './types.ts';

export interface PlacementRequest {
  name: string;
  request: PartitionRequest;
  /** What it has now; null = nothing. */
  current: Partition | null;
}

export interface PlacementInput {
  topology: Topology;
  pool: Pool;
  /** Names are unique. */
  requests: readonly PlacementRequest[];
  /** Owners that are not to be touched, by name. */
  fixed: Readonly<Record<string, Partition>>;
  /** Names of those that may lose their present place. */
  move?: ReadonlySet<string>;
}

export interface Placed {
  name: string;
  partition: Partition;
  /** The host CPU of each vCPU. */
  vcpuCpus: readonly number[];
  /** Why here, one sentence for each of CPUs, memory and devices. */
  reasons: readonly string[];
  /** Whether it stays exactly what it was. */
  kept: boolean;
}

export interface Refused {
  name: string;
  /** Where in the request: `cpus`, `cpus.numa`, `memory`, `devices.0`, ... */
  field: string;
  message: string;
  hint: string;
}

/**
 * In a result with refusals, a refused instance that has a `current` holds on to the parts that it would keep, and the rest
 * of it is treated as given up: such a plan is to be read, not to be applied.
 */
export interface PlacementResult {
  /** In the order of the requests. */
  placed: readonly Placed[];
  refused: readonly Refused[];
  /** Points; see planner/points.ts. */
  cost: number;
}

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
