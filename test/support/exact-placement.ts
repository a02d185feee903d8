/**
 * The cheapest plan there is, for small inputs: every way to put counts of cores on L3s is considered, each state of the
 * machine once (dynamic programming; L3s of one node that are in the same state count as one state). It shares nothing
 * with the planner but the weights of the objective, and its plan is judged by the same `placementCost`.
 *
 * Takes dedicated counts (any smt, numa, cache) with ordinary memory by size on at most two nodes, on machines with one
 * core type; whatever has a `current` is kept.
 */
import type { NodeMemory, Partition, PartitionRequest, PlacementInput } from '../../src/ledger/index.ts';
import { POINTS } from '../../src/ledger/planner/points.ts';

interface Group {
  node: number;
  package: number;
  threads: number;
  /** Free cores, as lists of their CPUs; free threads of broken cores. */
  whole: number[][];
  loose: number[];
  owned: boolean;
}

/** Of a group: free whole cores, free loose threads, whether somebody owns a CPU. */
type Counts = readonly (readonly [whole: number, loose: number, owned: boolean])[];
/** GiB demanded by instances whose CPUs are on node 0 only, node 1 only, both; and explicitly on node 0, node 1. */
type Demand = readonly [number, number, number, number, number];
type Vector = readonly number[];

interface Step {
  cost: number;
  /** CPUs on each group for this request; null = refused or kept. */
  vector: Vector | null;
  next: Step | null;
}

const GIB = 2 ** 30;

/** The cheapest partitions by name, and the points the solver itself counts, without those of kept instances. */
export function exactPlacement(input: PlacementInput): { partitions: Record<string, Partition>; points: number } {
  const groups = groupsOf(input);
  const kept = input.requests.flatMap(({ current }) => (current === null ? [] : [current]));
  const open = input.requests.filter(({ current }) => current === null);
  const nodes = input.topology.numaNodes.map((node) => node.id);
  const taken = [...kept, ...Object.values(input.fixed)].flatMap((partition) => partition.memory);
  const room = nodes.map((node) => (bytes(input.pool.memory, node) - bytes(taken, node)) / GIB);
  const away = (input.topology.numaNodes[0]!.distances[1] ?? 10) - 10;
  const memo = new Map<string, Step>();

  const solve = (at: number, counts: Counts, demand: Demand): Step => {
    if (at === open.length)
      return { cost: fragmentation(groups, counts) + remote(demand, room, away), vector: null, next: null };
    const key = `${at}|${canonical(groups, counts)}|${demand}`;
    const known = memo.get(key);
    // The vector of a known state may be for a mirror image; it is looked up again when the plan is read out.
    if (known !== undefined) return known;
    const { request } = open[at]!;
    let best: Step = { cost: Number.POSITIVE_INFINITY, vector: null, next: null };
    for (const vector of vectors(groups, counts, request)) {
      const after = demanded(groups, demand, vector, request);
      if (!fits(after, room)) continue;
      const next = solve(at + 1, take(groups, counts, vector, request), after);
      const cost = own(groups, vector, request, away) + next.cost;
      if (cost < best.cost) best = { cost, vector, next };
    }
    const next = solve(at + 1, counts, demand);
    if (POINTS.refused + next.cost < best.cost) best = { cost: POINTS.refused + next.cost, vector: null, next };
    memo.set(key, best);
    return best;
  };

  let counts: Counts = groups.map((group) => [group.whole.length, group.loose.length, group.owned]);
  let demand: Demand = [0, 0, 0, 0, 0];
  const points = solve(0, counts, demand).cost;
  const chosen: { name: string; request: PartitionRequest; vector: Vector }[] = [];
  for (const [at, { name, request }] of open.entries()) {
    const target = solve(at, counts, demand).cost;
    if (POINTS.refused + solve(at + 1, counts, demand).cost <= target) continue;
    for (const vector of vectors(groups, counts, request)) {
      const after = demanded(groups, demand, vector, request);
      if (!fits(after, room)) continue;
      const left = take(groups, counts, vector, request);
      if (own(groups, vector, request, away) + solve(at + 1, left, after).cost > target + 1e-9) continue;
      chosen.push({ name, request, vector });
      [counts, demand] = [left, after];
      break;
    }
  }
  const partitions: Record<string, Partition> = {};
  for (const { name, current } of input.requests) if (current !== null) partitions[name] = current;
  const memory = memoryFor(groups, chosen, nodes, room);
  for (const { name, request, vector } of chosen) {
    const cpus = vector.flatMap((count, index) => pick(groups[index]!, count, request)).sort((a, b) => a - b);
    partitions[name] = { cpus, shared: null, memory: memory.get(name)!, hugePageBytes: null, devices: [] };
  }
  return { partitions, points };
}

function groupsOf({ topology, pool, requests, fixed }: PlacementInput): Group[] {
  const owned = new Set(
    [...Object.values(fixed), ...requests.flatMap(({ current }) => current ?? [])].flatMap((each) => each.cpus),
  );
  const inPool = new Set(pool.cpus);
  return topology.caches.flatMap((cache) => {
    const cpus = topology.cpus.filter((cpu) => cache.cpus.includes(cpu.id) && cpu.online);
    const cores = [...new Set(cpus.map((cpu) => cpu.core))].map((core) =>
      cpus.filter((cpu) => cpu.core === core).map((cpu) => cpu.id),
    );
    const isWhole = (core: number[]): boolean => core.every((cpu) => inPool.has(cpu) && !owned.has(cpu));
    if (cpus.every((cpu) => !inPool.has(cpu.id))) return [];
    const { node, package: pack } = cpus[0]!;
    return {
      node: node!,
      package: pack,
      threads: cores[0]!.length,
      whole: cores.filter(isWhole),
      loose: cores
        .filter((core) => !isWhole(core))
        .flat()
        .filter((cpu) => inPool.has(cpu) && !owned.has(cpu)),
      owned: cpus.some((cpu) => owned.has(cpu.id)),
    };
  });
}

/** Every distribution of the request's CPUs over the groups; equal groups of a node get no more than the one before. */
function* vectors(groups: readonly Group[], counts: Counts, { cpus }: PartitionRequest): Generator<Vector> {
  if (cpus.kind !== 'count') throw new Error('only counts');
  const whole = cpus.smt === 'whole-core';
  const need = whole ? Math.ceil(cpus.count / groups[0]!.threads) : cpus.count;
  const most = groups.map((group, index) => {
    const [cores, loose] = counts[index]!;
    if (cpus.numa !== null && group.node !== cpus.numa) return 0;
    return whole ? cores : cores * group.threads + loose;
  });
  const units: number[] = [];
  function* visit(at: number, missing: number): Generator<Vector> {
    if (at === groups.length) {
      if (missing === 0) yield [...units];
      return;
    }
    let top = Math.min(missing, most[at]!);
    const before = groups.findLastIndex(
      (group, index) => index < at && group.node === groups[at]!.node && String(counts[index]) === String(counts[at]),
    );
    if (before >= 0) top = Math.min(top, units[before]!);
    for (let take = top; take >= 0; take--) {
      if (cpus.kind === 'count' && cpus.cache === 'shared-l3' && take > 0 && take < missing) continue;
      units[at] = take;
      yield* visit(at + 1, missing - take);
    }
  }
  yield* visit(0, need);
}

function take(groups: readonly Group[], counts: Counts, vector: Vector, { cpus }: PartitionRequest): Counts {
  return counts.map(([whole, loose, owned], index) => {
    const units = vector[index]!;
    if (units === 0) return [whole, loose, owned];
    if (cpus.kind === 'count' && cpus.smt === 'whole-core') return [whole - units, loose, true];
    const { threads } = groups[index]!;
    const broken = Math.max(0, Math.ceil((units - loose) / threads));
    return [whole - broken, loose + broken * threads - units, true];
  });
}

function pick(group: Group, units: number, { cpus }: PartitionRequest): number[] {
  if (cpus.kind === 'count' && cpus.smt === 'whole-core') return group.whole.splice(0, units).flat();
  while (group.loose.length < units) group.loose.push(...group.whole.shift()!);
  return group.loose.splice(0, units);
}

/** Spread, and memory explicitly asked for elsewhere. */
function own(groups: readonly Group[], vector: Vector, { memory }: PartitionRequest, away: number): number {
  const used = groups.filter((_, index) => vector[index]! > 0);
  const isAway = memory.kind === 'size' && memory.node !== null && used.every((group) => group.node !== memory.node);
  const beyondOne = (of: (group: Group) => number): number => new Set(used.map(of)).size - 1;
  return (
    POINTS.extraPackage * beyondOne((group) => group.package) +
    POINTS.extraNode * beyondOne((group) => group.node) +
    POINTS.extraL3 * (used.length - 1) +
    (isAway ? POINTS.remoteGiB * away * (memory.bytes / GIB) : 0)
  );
}

function fragmentation(groups: readonly Group[], counts: Counts): number {
  let points = 0;
  for (const node of new Set(groups.map((group) => group.node))) {
    const here = counts.filter((_, index) => groups[index]!.node === node);
    const free = here.reduce((sum, [whole]) => sum + whole, 0);
    if (here.some(([, , owned]) => owned)) points += POINTS.freeCoreInUsedNode * free;
  }
  for (const [whole, loose, owned] of counts) {
    points += POINTS.looseThread * loose + (owned ? POINTS.freeCoreInUsedL3 * whole : 0);
  }
  return points;
}

function demanded(groups: readonly Group[], demand: Demand, vector: Vector, { memory }: PartitionRequest): Demand {
  if (memory.kind !== 'size') throw new Error('only sizes');
  const homes = new Set(groups.filter((_, index) => vector[index]! > 0).map((group) => group.node));
  const slot = memory.node !== null ? 3 + memory.node : homes.size > 1 ? 2 : [...homes][0]!;
  return demand.map((gib, index) => (index === slot ? gib + memory.bytes / GIB : gib)) as unknown as Demand;
}

function fits([first, second, both, on0, on1]: Demand, room: readonly number[]): boolean {
  const [room0, room1 = 0] = room as [number, number?];
  return on0 <= room0 && on1 <= room1 && first + second + both + on0 + on1 <= room0 + room1;
}

/** Points for what is more than its own node has left after explicit demands; what has both nodes as home fills gaps. */
function remote([first, second, , on0, on1]: Demand, room: readonly number[], away: number): number {
  const over = Math.max(0, first - (room[0]! - on0)) + Math.max(0, second - ((room[1] ?? 0) - on1));
  return POINTS.remoteGiB * away * over;
}

/** Explicit demands first, then those of one home, then those of both, then what is left over. */
function memoryFor(
  groups: readonly Group[],
  chosen: readonly { name: string; request: PartitionRequest; vector: Vector }[],
  nodes: readonly number[],
  room: readonly number[],
): Map<string, NodeMemory[]> {
  const left = [...room];
  const result = new Map(chosen.map(({ name }) => [name, new Map<number, number>()]));
  const missing = new Map<string, number>();
  const give = (name: string, node: number, gib: number): void => {
    const part = Math.min(gib, left[node]!, missing.get(name)!);
    left[node]! -= part;
    missing.set(name, missing.get(name)! - part);
    if (part > 0) result.get(name)!.set(node, (result.get(name)!.get(node) ?? 0) + part);
  };
  const homesOf = (vector: Vector): number[] => [
    ...new Set(groups.filter((_, index) => vector[index]! > 0).map((group) => group.node)),
  ];
  for (const { name, request } of chosen)
    missing.set(name, request.memory.kind === 'size' ? request.memory.bytes / GIB : 0);
  for (const { name, request } of chosen) {
    if (request.memory.kind === 'size' && request.memory.node !== null)
      give(name, request.memory.node, missing.get(name)!);
  }
  for (const homes of [1, 2]) {
    for (const { name, vector } of chosen) {
      if (homesOf(vector).length === homes) for (const node of homesOf(vector)) give(name, node, missing.get(name)!);
    }
  }
  for (const { name } of chosen) for (const node of nodes) give(name, node, missing.get(name)!);
  return new Map(
    [...result].map(([name, parts]) => [
      name,
      [...parts].sort(([a], [b]) => a - b).map(([node, gib]) => ({ node, bytes: gib * GIB })),
    ]),
  );
}

function canonical(groups: readonly Group[], counts: Counts): string {
  return counts
    .map((each, index) => `${groups[index]!.node}:${each}`)
    .sort()
    .join(';');
}

function bytes(memory: readonly NodeMemory[], node: number): number {
  return memory.reduce((sum, each) => sum + (each.node === node ? each.bytes : 0), 0);
}
