/**
 * What is free at one point of the search, as counters. A room is never changed once the search holds it: `with...`
 * methods give the next one, so that many continuations of one plan can be held side by side.
 */
import type { NodeMemory, Partition, SharedClaim } from '../types.ts';
import { POINTS } from './points.ts';
import type { Core, Site } from './site.ts';

/** So many of a leaf: whole cores, or single threads with `any`. */
export interface Take {
  leaf: number;
  units: number;
}

/** What becomes somebody's: `cpus` by number, or `takes` by count. */
export interface Grant {
  whole: boolean;
  takes: readonly Take[];
  cpus: readonly number[];
  shared: SharedClaim | null;
  memory: readonly NodeMemory[];
  hugePageBytes: number | null;
  devices: readonly string[];
}

/** Shared CPUs of a node are kept as `milliCpus left * SCALE + CPU`, ascending: the best fit is found by bisection. */
const SCALE = 2 ** 20;

export class Room {
  readonly site: Site;
  /** By leaf: cores nobody has a thread of, and free threads of the other cores. */
  whole: Int32Array;
  loose: Int32Array;
  /** By L3 and by node: free whole cores, and CPUs that somebody owns. */
  l3Free: Int32Array;
  l3Owned: Int32Array;
  nodeFree: Int32Array;
  nodeOwned: Int32Array;
  /** Free bytes by node index. */
  memory: Float64Array;
  /** Free bytes in huge pages, by page size and node index. */
  huge: ReadonlyMap<number, Float64Array>;
  shared: readonly (readonly number[])[];
  /** Owner of each CPU given away by number. */
  cpuOwner: Map<number, string>;
  deviceOwner: Map<string, string>;
  /** Points of fragmentation. */
  fragmentation: number;

  private constructor(site: Site, from: Room | null) {
    this.site = site;
    const { leaves, l3s, nodes } = site;
    this.whole = from?.whole.slice() ?? new Int32Array(leaves.length);
    this.loose = from?.loose.slice() ?? new Int32Array(leaves.length);
    this.l3Free = from?.l3Free.slice() ?? new Int32Array(l3s.length);
    this.l3Owned = from?.l3Owned.slice() ?? new Int32Array(l3s.length);
    this.nodeFree = from?.nodeFree.slice() ?? new Int32Array(nodes.length);
    this.nodeOwned = from?.nodeOwned.slice() ?? new Int32Array(nodes.length);
    this.memory = from?.memory.slice() ?? new Float64Array(nodes.length);
    this.huge = from?.huge ?? new Map();
    this.shared = from?.shared ?? [];
    this.cpuOwner = from?.cpuOwner ?? new Map();
    this.deviceOwner = from?.deviceOwner ?? new Map();
    this.fragmentation = from?.fragmentation ?? 0;
  }

  /** The pool with nothing owned. */
  static empty(site: Site): Room {
    const room = new Room(site, null);
    site.leaves.forEach((leaf, index) => {
      for (const core of leaf.cores) {
        if (core.whole) room.#addWhole(index, 1);
        else room.loose[index]! += core.cpus.length;
      }
      room.fragmentation += POINTS.looseThread * room.loose[index]!;
    });
    for (const { node, bytes } of site.pool.memory) room.memory[site.nodes.indexOf(node)] = bytes;
    const huge = new Map<number, Float64Array>();
    site.topology.numaNodes.forEach((node, index) => {
      for (const { sizeBytes, total } of node.hugePages) {
        if (!huge.has(sizeBytes)) huge.set(sizeBytes, new Float64Array(site.nodes.length));
        huge.get(sizeBytes)![index] = sizeBytes * total;
      }
    });
    room.huge = huge;
    const shared: number[][] = site.nodes.map(() => []);
    for (const cpu of site.sharedCpus) shared[site.nodeOfCpu.get(cpu)!]!.push(1000 * SCALE + cpu);
    room.shared = shared;
    return room;
  }

  /** A room of its own with what the partitions leave, in order of name. */
  static beside(site: Site, partitions: Readonly<Record<string, Partition>>): Room {
    const room = Room.empty(site);
    for (const name of Object.keys(partitions).sort()) room.add(name, partitions[name]!);
    return room;
  }

  /** This room after `owner` got `grant`. */
  with(owner: string, grant: Grant): Room {
    const next = new Room(this.site, this);
    if (grant.cpus.length > 0) next.cpuOwner = new Map(next.cpuOwner);
    if (grant.devices.length > 0) next.deviceOwner = new Map(next.deviceOwner);
    next.#grant(owner, grant);
    return next;
  }

  /** Takes a partition, or a part of one, out of this room itself: for building a room, before the search has it. */
  add(owner: string, partition: Partition): void {
    this.#grant(owner, { ...partition, whole: true, takes: [] });
  }

  /** Points of fragmentation after taking. */
  fragmentationAfter(takes: readonly Take[], whole: boolean): number {
    const before = this.fragmentation;
    const saved = takes.map(({ leaf }) => [leaf, this.whole[leaf]!, this.loose[leaf]!, this.#owned(leaf)] as const);
    this.#take(takes, whole);
    const after = this.fragmentation;
    for (const [leaf, wholeBefore, looseBefore, owned] of saved) {
      const taken = this.#owned(leaf) - owned;
      this.l3Owned[this.site.leaves[leaf]!.l3]! -= taken;
      this.nodeOwned[this.site.leaves[leaf]!.node]! -= taken;
      this.#addWhole(leaf, wholeBefore - this.whole[leaf]!);
      this.loose[leaf] = looseBefore;
    }
    this.fragmentation = before;
    return after;
  }

  /** Bytes of a node (by index) that can be given away in whole pages of a size; null = ordinary pages. */
  freeBytes(node: number, hugePageBytes: number | null): number {
    const ordinary = this.memory[node] ?? 0;
    const free = hugePageBytes === null ? ordinary : Math.min(ordinary, this.huge.get(hugePageBytes)?.[node] ?? 0);
    const page = hugePageBytes ?? this.site.topology.pageBytes;
    return Math.max(0, Math.floor(free / page) * page);
  }

  /** Whether a core cannot be given away whole any more; only known where CPUs were given by number. */
  isBroken(core: Core): boolean {
    return !core.whole || core.cpus.some((cpu) => this.cpuOwner.has(cpu));
  }

  /** Thousandths left on each shared CPU, for all nodes or the one given by index. */
  sharedLeft(node: number | null = null): { cpu: number; milliCpus: number }[] {
    const keys = node === null ? this.shared.flat() : (this.shared[node] ?? []);
    return keys.map((key) => ({ cpu: key % SCALE, milliCpus: Math.floor(key / SCALE) }));
  }

  /** The `count` CPUs of a node with the least left that still have `milliCpus`; fewer when there are not so many. */
  bestShared(node: number, count: number, milliCpus: number): number[] {
    const keys = this.shared[node] ?? [];
    const from = bisect(keys, milliCpus * SCALE);
    return keys.slice(from, from + count).map((key) => key % SCALE);
  }

  /** Equal for rooms in which the same is possible at the same price: L3s of one node may change places, CPUs given by number not. */
  signature(): string {
    const l3s = this.site.l3s.map(
      ({ node, leaves }, index) =>
        `${node}:${leaves.map((leaf) => `${this.#kind(leaf)}=${this.whole[leaf]}+${this.loose[leaf]}`)}/${this.l3Owned[index]! > 0}`,
    );
    const huge = [...this.huge].map(([size, bytes]) => `${size}=${bytes}`);
    const devices = [...this.deviceOwner].map(([device, owner]) => `${device}=${owner}`).sort();
    return [l3s.sort(), [...this.cpuOwner.keys()], this.memory, huge, this.shared.map(String), devices].join('|');
  }

  #kind(leaf: number): string {
    const { package: pack, type, threads } = this.site.leaves[leaf]!;
    return `${pack} ${type} ${threads}`;
  }

  #owned(leaf: number): number {
    // Only differences count, and a leaf's CPUs are free or owned: what is not free stands for what is owned.
    return -(this.whole[leaf]! * this.site.leaves[leaf]!.threads + this.loose[leaf]!);
  }

  #grant(owner: string, grant: Grant): void {
    this.#take(grant.takes, grant.whole);
    this.#takeCpus(owner, grant.cpus);
    if (grant.shared !== null) this.#takeShared(grant.shared);
    this.#takeMemory(grant.memory, grant.hugePageBytes);
    for (const device of grant.devices) this.deviceOwner.set(device, owner);
  }

  #take(takes: readonly Take[], whole: boolean): void {
    for (const { leaf, units } of takes) {
      const { threads } = this.site.leaves[leaf]!;
      if (whole) {
        this.#change(leaf, units, 0, units * threads);
      } else {
        // Threads of broken cores go first; only then is a core broken.
        const broken = Math.max(0, Math.ceil((units - this.loose[leaf]!) / threads));
        this.#change(leaf, broken, broken * threads - units, units);
      }
    }
  }

  #takeCpus(owner: string, cpus: readonly number[]): void {
    const owners = this.cpuOwner;
    for (const cpu of cpus) {
      const core = this.site.coreOf.get(cpu);
      if (core !== undefined) {
        const untouched = core.whole && core.cpus.every((sibling) => !owners.has(sibling));
        this.#change(core.leaf, untouched ? 1 : 0, untouched ? core.cpus.length - 1 : -1, 1);
      }
      owners.set(cpu, owner);
    }
  }

  /** A leaf loses `cores` whole cores and gains `loose` free threads; `owned` more of its CPUs have an owner. */
  #change(leaf: number, cores: number, loose: number, owned: number): void {
    this.loose[leaf]! += loose;
    this.fragmentation += POINTS.looseThread * loose;
    const { l3, node } = this.site.leaves[leaf]!;
    const before = this.#partlyUsed(l3, node);
    this.l3Owned[l3]! += owned;
    this.nodeOwned[node]! += owned;
    this.#addWhole(leaf, -cores);
    this.fragmentation += this.#partlyUsed(l3, node) - before;
  }

  #partlyUsed(l3: number, node: number): number {
    return (
      (this.l3Owned[l3]! > 0 ? POINTS.freeCoreInUsedL3 * this.l3Free[l3]! : 0) +
      (this.nodeOwned[node]! > 0 ? POINTS.freeCoreInUsedNode * this.nodeFree[node]! : 0)
    );
  }

  #addWhole(leaf: number, cores: number): void {
    const { l3, node } = this.site.leaves[leaf]!;
    this.whole[leaf]! += cores;
    this.l3Free[l3]! += cores;
    this.nodeFree[node]! += cores;
  }

  #takeShared(claim: SharedClaim): void {
    const part = Math.ceil(claim.milliCpus / claim.cpus.length);
    const shared = this.shared.map((keys) => keys);
    for (const cpu of claim.cpus) {
      const node = this.site.nodeOfCpu.get(cpu)!;
      const keys = [...shared[node]!];
      const at = keys.findIndex((key) => key % SCALE === cpu);
      if (at < 0) continue;
      const [key] = keys.splice(at, 1);
      const left = Math.floor(key! / SCALE);
      const rest = left - part;
      this.fragmentation += POINTS.partSharedCpu * (Number(rest > 0) - Number(left < 1000 && left > 0));
      const back = rest * SCALE + cpu;
      keys.splice(bisect(keys, back), 0, back);
      shared[node] = keys;
    }
    this.shared = shared;
  }

  #takeMemory(memory: readonly NodeMemory[], hugePageBytes: number | null): void {
    const huge = hugePageBytes === null ? undefined : this.huge.get(hugePageBytes)?.slice();
    for (const { node, bytes } of memory) {
      const index = this.site.nodes.indexOf(node);
      this.memory[index]! -= bytes;
      if (huge !== undefined) huge[index]! -= bytes;
    }
    if (huge !== undefined) this.huge = new Map([...this.huge, [hugePageBytes!, huge]]);
  }
}

/** Index of the first key that is at least `least`. */
function bisect(keys: readonly number[], least: number): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (keys[middle]! < least) low = middle + 1;
    else high = middle;
  }
  return low;
}
