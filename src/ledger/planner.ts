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
import { cpusSatisfy, devicesSatisfy, memorySatisfies } from './planner/keep.ts';
import { refusalOf } from './planner/refusal.ts';
import { Room } from './planner/room.ts';
import { type Need, type Plan, search } from './planner/search.ts';
import { settle } from './planner/settle.ts';
import { type Site, siteOf } from './planner/site.ts';
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
    const kept = current !== null && JSON.stringify(ordered(current)) === JSON.stringify(ordered(place.partition));
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
  const missing = needs.filter((need) => !settled.has(need));
  const partitions = Object.fromEntries(placed.map(({ name, partition }) => [name, partition]));
  const moving =
    missing.length === 0 ? new Map<Need, string[]>() : whatMovingAllows(site, input, plan, placed, missing);
  const owners = { ...input.fixed, ...partitions };
  const left = missing.length === 0 ? room : Room.beside(site, owners);
  const refused = missing.map((need) => ({
    name: need.name,
    ...refusalOf(left, need, owners, moving.get(need) ?? []),
  }));
  return { placed, refused, cost: costOf(site, input.fixed, partitions, refused.length) };
}

/** Points of a plan, whoever made it: `partitions` by name for the requests of `input` that have a place in it. */
export function placementCost(input: PlacementInput, partitions: Readonly<Record<string, Partition>>): number {
  const refused = input.requests.filter(({ name }) => partitions[name] === undefined).length;
  return costOf(siteOf(input.topology, input.pool), input.fixed, partitions, refused);
}

/** The room without what is fixed and kept, and what is left to decide of each request. */
function opening(site: Site, { requests, fixed, move }: PlacementInput): { room: Room; needs: Need[] } {
  const room = Room.beside(site, fixed);
  const nothing: Partition = { cpus: [], shared: null, memory: [], hugePageBytes: null, devices: [] };
  const needs = requests.map(({ name, request, current }, index) => {
    const need: Need = { index, name, request, held: { cpus: null, memory: null, devices: null } };
    if (current === null || move?.has(name)) return need;
    const { cpus, shared, memory, hugePageBytes, devices } = current;
    if (cpusSatisfy(site, request.cpus, current) && areFree(room, { ...nothing, cpus, shared })) {
      // The weight alone can change on the spot.
      const weighed = shared && request.cpus.kind === 'shared' ? { ...shared, weight: request.cpus.weight } : shared;
      need.held.cpus = { cpus, shared: weighed };
      room.add(name, { ...nothing, cpus, shared });
    }
    if (memorySatisfies(request.memory, current) && areFree(room, { ...nothing, memory, hugePageBytes })) {
      need.held.memory = memory;
      room.add(name, { ...nothing, memory, hugePageBytes });
    }
    if (areFree(room, { ...nothing, devices }) && devicesSatisfy(site, request.devices, devices)) {
      need.held.devices = devices;
      room.add(name, { ...nothing, devices });
    }
    return need;
  });
  return { room, needs };
}

/** Whether nobody else has any of it. What is recorded as somebody's may have been given up by the pool since. */
function areFree(room: Room, { cpus, shared, memory, hugePageBytes, devices }: Partition): boolean {
  const left = new Map(shared === null ? [] : room.sharedLeft().map(({ cpu, milliCpus }) => [cpu, milliCpus]));
  const part = shared === null ? 0 : Math.ceil(shared.milliCpus / shared.cpus.length);
  return (
    cpus.every((cpu) => !room.cpuOwner.has(cpu)) &&
    (shared?.cpus ?? []).every((cpu) => (left.get(cpu) ?? 0) >= part) &&
    memory.every(({ node, bytes }) => bytes <= room.freeBytes(room.site.nodes.indexOf(node), hugePageBytes)) &&
    devices.every((device) => room.site.poolDevices.has(device) && !room.deviceOwner.has(device))
  );
}

/** For each refused need that would have a place if what is kept could move: the names that would have to. */
function whatMovingAllows(
  site: Site,
  input: PlacementInput,
  plan: Plan,
  placed: readonly Placed[],
  missing: readonly Need[],
): Map<Need, string[]> {
  const kept = placed.filter((each) => each.kept);
  if (kept.length === 0) return new Map();
  const requests = input.requests;
  const { room, needs } = opening(site, { ...input, move: new Set(requests.map(({ name }) => name)) });
  const other = search(room, needs);
  if (other.decisions.length <= plan.decisions.length) return new Map();
  const settled = settle(site, input.fixed, needs, other);
  const moved = kept.filter(({ name, partition }) => {
    const place = settled.get(needs.find((need) => need.name === name)!);
    return place !== undefined && JSON.stringify(ordered(place.partition)) !== JSON.stringify(ordered(partition));
  });
  // A plan that gives up something that runs is no advice.
  if (kept.some(({ name }) => !settled.has(needs.find((need) => need.name === name)!))) return new Map();
  const names = moved.map(({ name }) => name);
  return new Map(missing.filter((need) => settled.has(needs[need.index]!)).map((need) => [need, names]));
}

/** A partition with its keys in one order, for comparing. */
function ordered({ cpus, shared, memory, hugePageBytes, devices }: Partition): unknown {
  const claim = shared && [shared.cpus, shared.milliCpus, shared.weight];
  return [cpus, claim, memory.map(({ node, bytes }) => [node, bytes]), hugePageBytes, devices];
}
