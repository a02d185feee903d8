/** The ways in which a room can give an instance its CPUs: few on a large machine, all of them on a small one. */
import type { CpuRequest, SharedClaim } from '../types.ts';
import type { Room, Take } from './room.ts';
import { byCount, nodeOfDevice, nodesOfCpus, type Site } from './site.ts';
import { spreadPoints } from './spread.ts';

export type CountRequest = Extract<CpuRequest, { kind: 'count' }>;

export interface CpuOption {
  takes: readonly Take[];
  /** CPUs given by number: those of an exact request. */
  cpus: readonly number[];
  shared: SharedClaim | null;
  /** Indices of its nodes, the one with most of its CPUs first. */
  nodes: readonly number[];
  points: number;
}

/** Up to this many leaves with room in them all combinations are tried, and at most so many of those. */
const ALL_COMBINATIONS_LEAVES = 8;
const MOST_COMBINATIONS = 300;

export function cpuOptions(room: Room, request: CpuRequest): CpuOption[] {
  switch (request.kind) {
    case 'count':
      return countOptions(room, request);
    case 'exact': {
      const free = request.cpus.every((cpu) => room.site.coreOf.has(cpu) && !room.cpuOwner.has(cpu));
      if (!free || request.cpus.length === 0) return [];
      return [optionOfCpus(room.site, request.cpus, null)];
    }
    case 'shared':
      return sharedOptions(room, request);
  }
}

export function optionOfCpus(site: Site, cpus: readonly number[], shared: SharedClaim | null): CpuOption {
  const used = shared?.cpus ?? cpus;
  return { takes: [], cpus, shared, nodes: nodesOfCpus(site, used), points: spreadPoints(site, used) };
}

/** Indices of the leaves on which the request allows CPUs. */
export function allowedLeaves(site: Site, request: CountRequest): number[] {
  const near = request.near === null ? null : nodeOfDevice(site, request.near);
  if (request.near !== null && !site.devices.has(request.near)) return [];
  const numa = request.numa === null ? null : site.nodes.indexOf(request.numa);
  return site.leaves.flatMap(({ node }, index) =>
    (numa === null || node === numa) && (near === null || node === near) ? [index] : [],
  );
}

/** CPUs that a leaf still has for requests of this kind. */
export function capacity(room: Room, leaf: number, smt: CountRequest['smt']): number {
  const whole = room.whole[leaf]! * room.site.leaves[leaf]!.threads;
  return smt === 'any' ? whole + room.loose[leaf]! : whole;
}

function countOptions(room: Room, request: CountRequest): CpuOption[] {
  const { site } = room;
  const leaves = allowedLeaves(site, request).filter((leaf) => capacity(room, leaf, request.smt) > 0);
  if (request.cache === 'spread') {
    const takes = evenly(room, leaves, request);
    return takes === null ? [] : [optionOfTakes(site, takes, request.smt)];
  }
  const scopes = request.cache === 'shared-l3' ? l3Scopes(site, leaves) : [leaves];
  const seen = new Set<string>();
  const options: CpuOption[] = [];
  const add = (takes: readonly Take[] | null): void => {
    if (takes === null || isWasteful(site, takes, request)) return;
    const key = takes.map((take) => `${take.leaf}x${take.units}`).join();
    if (seen.has(key)) return;
    seen.add(key);
    options.push(optionOfTakes(site, takes, request.smt));
  };
  for (const scope of scopes) {
    if (leaves.length <= ALL_COMBINATIONS_LEAVES) for (const takes of combinations(room, scope, request)) add(takes);
    for (const takes of likely(room, scope, request)) add(takes);
  }
  return options;
}

/** Whether one of the cores is not needed, which can be so where cores differ in threads. */
function isWasteful(site: Site, takes: readonly Take[], request: CountRequest): boolean {
  if (request.smt === 'any') return false;
  const threads = (take: Take): number => site.leaves[take.leaf]!.threads;
  const total = takes.reduce((sum, take) => sum + take.units * threads(take), 0);
  return takes.some((take) => total - threads(take) >= request.count);
}

function optionOfTakes(site: Site, takes: readonly Take[], smt: CountRequest['smt']): CpuOption {
  const counts = new Map<number, number>();
  for (const { leaf, units } of takes) {
    const { node, threads } = site.leaves[leaf]!;
    counts.set(node, (counts.get(node) ?? 0) + (smt === 'any' ? units : units * threads));
  }
  const points = spreadPoints(
    site,
    [],
    takes.map((take) => take.leaf),
  );
  return { takes, cpus: [], shared: null, nodes: byCount(counts), points };
}

/** The usual good places: one leaf, one L3, one node, one package, then nodes in order of distance from each node. */
function likely(room: Room, leaves: readonly number[], request: CountRequest): (readonly Take[] | null)[] {
  const { site } = room;
  const found: (readonly Take[] | null)[] = leaves.map((leaf) => fill(room, [leaf], request));
  const nodes = [...new Set(leaves.map((leaf) => site.leaves[leaf]!.node))];
  const perNode = nodes.map((node) => leaves.filter((leaf) => site.leaves[leaf]!.node === node));
  for (const scope of [...l3Scopes(site, leaves).filter((scope) => scope.length > 1), ...perNode]) {
    for (const type of ['performance', 'efficiency'] as const) {
      const ofType = scope.filter((leaf) => site.leaves[leaf]!.type === type);
      if (ofType.length > 0 && ofType.length < scope.length) found.push(fill(room, ofType, request));
    }
    found.push(fill(room, scope, request));
  }
  if (found.some((takes) => takes !== null)) return found;
  for (const start of nodes) {
    const away = (leaf: number): number =>
      site.topology.numaNodes[start]!.distances[site.leaves[leaf]!.node] ?? Number.MAX_SAFE_INTEGER;
    const rings = [...new Set(leaves.map(away))].sort((a, b) => a - b);
    found.push(
      fillInTurn(
        room,
        rings.map((ring) => leaves.filter((leaf) => away(leaf) === ring)),
        request,
      ),
    );
  }
  return found;
}

/** Takes all of each ring before the next, nearest first. */
function fillInTurn(room: Room, rings: readonly (readonly number[])[], request: CountRequest): Take[] | null {
  const takes: Take[] = [];
  let missing = request.count;
  for (const ring of rings) {
    const has = ring.reduce((sum, leaf) => sum + capacity(room, leaf, request.smt), 0);
    const part = fill(room, ring, { ...request, count: Math.min(missing, has) });
    if (part === null) continue;
    takes.push(...part);
    missing -= Math.min(missing, has);
    if (missing === 0) return byLeaf(takes);
  }
  return null;
}

/** The leaf with the least room that fits the rest; while none does, all of the one with the most. Null = not enough. */
function fill(room: Room, leaves: readonly number[], request: CountRequest): Take[] | null {
  const left = leaves.map((leaf) => ({ leaf, cpus: capacity(room, leaf, request.smt) }));
  let missing = request.count;
  if (missing <= 0 || left.reduce((sum, each) => sum + each.cpus, 0) < missing) return null;
  left.sort((a, b) => b.cpus - a.cpus || a.leaf - b.leaf);
  const takes: Take[] = [];
  while (missing > 0) {
    let at = 0;
    while (at + 1 < left.length && left[at + 1]!.cpus >= missing && left[at + 1]!.cpus < left[at]!.cpus) at += 1;
    const [{ leaf, cpus }] = left.splice(at, 1) as [{ leaf: number; cpus: number }];
    takes.push({ leaf, units: unitsFor(room.site, leaf, Math.min(missing, cpus), request.smt) });
    missing -= Math.min(missing, cpus);
  }
  return byLeaf(takes);
}

/** One by one, each where the request has least so far: of nodes, then of L3s, then where most is free. Null = not enough. */
function evenly(room: Room, leaves: readonly number[], request: CountRequest): Take[] | null {
  const { site } = room;
  const [ofNode, ofL3, units] = [new Map<number, number>(), new Map<number, number>(), new Map<number, number>()];
  const worth = (leaf: number): number => (request.smt === 'any' ? 1 : site.leaves[leaf]!.threads);
  const left = (leaf: number): number => capacity(room, leaf, request.smt) - (units.get(leaf) ?? 0) * worth(leaf);
  const rank = (leaf: number): number[] => {
    const { node, l3 } = site.leaves[leaf]!;
    return [ofNode.get(node) ?? 0, ofL3.get(l3) ?? 0, -left(leaf), leaf];
  };
  for (let missing = request.count; missing > 0; ) {
    const [best] = leaves.filter((leaf) => left(leaf) >= worth(leaf)).sort((a, b) => compare(rank(a), rank(b)));
    if (best === undefined) return null;
    const { node, l3 } = site.leaves[best]!;
    units.set(best, (units.get(best) ?? 0) + 1);
    ofNode.set(node, (ofNode.get(node) ?? 0) + worth(best));
    ofL3.set(l3, (ofL3.get(l3) ?? 0) + worth(best));
    missing -= worth(best);
  }
  return byLeaf([...units].map(([leaf, count]) => ({ leaf, units: count })));
}

const compare = (a: readonly number[], b: readonly number[]): number => {
  const at = a.findIndex((each, index) => each !== b[index]);
  return at < 0 ? 0 : a[at]! - b[at]!;
};

const byLeaf = (takes: readonly Take[]): Take[] => [...takes].sort((a, b) => a.leaf - b.leaf);

function unitsFor(site: Site, leaf: number, cpus: number, smt: CountRequest['smt']): number {
  return smt === 'any' ? cpus : Math.ceil(cpus / site.leaves[leaf]!.threads);
}

/** Every way to put the count on `leaves`, apart from ways that differ only in which of two equal L3s is which. */
function combinations(room: Room, leaves: readonly number[], request: CountRequest): Take[][] {
  const found: Take[][] = [];
  const after = leaves.map((_, from) =>
    leaves.slice(from).reduce((sum, leaf) => sum + capacity(room, leaf, request.smt), 0),
  );
  const kinds = leaves.map((leaf) => kindOf(room, leaf));
  const units: number[] = [];
  const visit = (at: number, missing: number): void => {
    if (found.length >= MOST_COMBINATIONS) return;
    if (missing <= 0) {
      found.push(units.flatMap((count, index) => (count > 0 ? [{ leaf: leaves[index]!, units: count }] : [])));
      return;
    }
    if (at === leaves.length || after[at]! < missing) return;
    const leaf = leaves[at]!;
    const twin = kinds.lastIndexOf(kinds[at]!, at - 1);
    const has = capacity(room, leaf, request.smt);
    let most = unitsFor(room.site, leaf, Math.min(missing, has), request.smt);
    if (at > 0 && twin >= 0) most = Math.min(most, units[twin]!);
    const worth = request.smt === 'any' ? 1 : room.site.leaves[leaf]!.threads;
    for (let take = most; take >= 0; take--) {
      units[at] = take;
      units.length = at + 1;
      visit(at + 1, missing - take * worth);
    }
  };
  visit(0, request.count);
  return found;
}

/** Equal for leaves that are alike in all that counts. */
function kindOf(room: Room, leaf: number): string {
  const { package: pack, node, l3, type, threads } = room.site.leaves[leaf]!;
  // A leaf that shares its L3 with another one is like no other: its neighbour counts too.
  const alone = room.site.l3s[l3]!.leaves.length === 1 ? '' : String(leaf);
  return [pack, node, type, threads, alone, room.whole[leaf], room.loose[leaf], room.l3Owned[l3]! > 0].join();
}

/** `leaves` by L3, for L3s the machine names. */
function l3Scopes(site: Site, leaves: readonly number[]): number[][] {
  const scopes = new Map<number, number[]>();
  for (const leaf of leaves) {
    const { l3 } = site.leaves[leaf]!;
    if (site.l3s[l3]!.cpus === null) continue;
    scopes.set(l3, [...(scopes.get(l3) ?? []), leaf]);
  }
  return [...scopes.values()];
}

/** The fullest shared CPUs that still have the part, of one node if that has enough of them. */
function sharedOptions(room: Room, request: Extract<CpuRequest, { kind: 'shared' }>): CpuOption[] {
  const { site } = room;
  const count = Math.ceil(request.milliCpus / 1000);
  const part = Math.ceil(request.milliCpus / count);
  const option = (cpus: readonly number[]): CpuOption =>
    optionOfCpus(site, [], {
      cpus: [...cpus].sort((a, b) => a - b),
      milliCpus: request.milliCpus,
      weight: request.weight,
    });
  const perNode = site.nodes.map((_, node) => room.bestShared(node, count, part));
  const onOne = perNode.filter((cpus) => cpus.length === count);
  if (onOne.length > 0) return onOne.map(option);
  const all = perNode.sort((a, b) => b.length - a.length).flat();
  return all.length < count ? [] : [option(all.slice(0, count))];
}
