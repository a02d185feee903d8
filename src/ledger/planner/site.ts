/**
 * The pool's part of a machine in the form that placing needs: cores gathered into leaves. Cores of one leaf have the same
 * package, node, L3, type and number of threads, so that it does not matter which of them an instance gets, and the search
 * counts cores instead of trying each. Built once for a plan, in O(CPUs).
 */
import type { PciFunction, Topology } from '../../topology/topology.ts';
import type { Pool } from '../types.ts';
import { LOCAL_DISTANCE } from './points.ts';

export interface Core {
  /** Its online, allowed, dedicated CPUs of the pool, ascending. */
  cpus: readonly number[];
  /** Whether those are all its online CPUs: only then can it be given away whole. */
  whole: boolean;
  leaf: number;
}

export interface Leaf {
  package: number;
  /** Index into `nodes`. */
  node: number;
  /** Index into `l3s`. */
  l3: number;
  type: 'performance' | 'efficiency' | null;
  /** Online threads of each core. */
  threads: number;
  /** Ascending by first CPU. */
  cores: readonly Core[];
}

export interface L3 {
  /** CPUs that share it; null where the machine names no L3, and the CPUs of one node stand together instead. */
  cpus: readonly number[] | null;
  node: number;
  leaves: readonly number[];
}

export interface Site {
  topology: Topology;
  pool: Pool;
  /** Ids of the nodes, by index. */
  nodes: readonly number[];
  leaves: readonly Leaf[];
  l3s: readonly L3[];
  coreOf: ReadonlyMap<number, Core>;
  /** Node index of every CPU of the machine. */
  nodeOfCpu: ReadonlyMap<number, number>;
  /** Usable shared CPUs, ascending. */
  sharedCpus: readonly number[];
  devices: ReadonlyMap<string, PciFunction>;
  poolDevices: ReadonlySet<string>;
  iommuGroups: ReadonlyMap<number, readonly PciFunction[]>;
}

export function siteOf(topology: Topology, pool: Pool): Site {
  const nodes = topology.numaNodes.map((node) => node.id);
  const nodeIndex = new Map(nodes.map((id, index) => [id, index]));
  // A CPU of no node is a kernel's oddity; it counts for the first node, which is what the kernel itself falls back to.
  const nodeOfCpu = new Map(topology.cpus.map((cpu) => [cpu.id, nodeIndex.get(cpu.node ?? Number.NaN) ?? 0]));
  const allowed = topology.limits.cpus === null ? null : new Set(topology.limits.cpus);
  const usable = (id: number): boolean => allowed === null || allowed.has(id);
  const inPool = new Set(pool.cpus);
  const shared = new Set(pool.sharedCpus);
  const cacheOf = new Map<number, number>();
  topology.caches.forEach((cache, index) => {
    if (cache.level === 3) for (const cpu of cache.cpus) cacheOf.set(cpu, index);
  });

  const byCore = new Map<number, Topology['cpus'][number][]>();
  for (const cpu of topology.cpus) {
    if (!cpu.online) continue;
    const siblings = byCore.get(cpu.core);
    if (siblings === undefined) byCore.set(cpu.core, [cpu]);
    else siblings.push(cpu);
  }
  const leaves: (Leaf & { cores: Core[] })[] = [];
  const l3s: (L3 & { leaves: number[] })[] = [];
  const leafOf = new Map<string, number>();
  const l3Of = new Map<string, number>();
  const coreOf = new Map<number, Core>();
  for (const siblings of [...byCore.values()].sort((a, b) => a[0]!.id - b[0]!.id)) {
    const cpus = siblings.map((cpu) => cpu.id).filter((id) => inPool.has(id) && !shared.has(id) && usable(id));
    if (cpus.length === 0) continue;
    const first = siblings[0]!;
    const node = nodeOfCpu.get(first.id)!;
    const cache = cacheOf.get(first.id);
    const l3 = indexOf(l3Of, cache === undefined ? `node ${node}` : `L3 ${cache}`, () => {
      l3s.push({ cpus: cache === undefined ? null : topology.caches[cache]!.cpus, node, leaves: [] });
    });
    const leaf = indexOf(leafOf, [first.package, node, l3, first.type, siblings.length].join(), (index) => {
      leaves.push({ package: first.package, node, l3, type: first.type, threads: siblings.length, cores: [] });
      l3s[l3]!.leaves.push(index);
    });
    const core: Core = { cpus, whole: cpus.length === siblings.length, leaf };
    leaves[leaf]!.cores.push(core);
    for (const cpu of cpus) coreOf.set(cpu, core);
  }
  const online = new Set(topology.cpus.filter((cpu) => cpu.online).map((cpu) => cpu.id));
  const sharedCpus = pool.sharedCpus.filter((cpu) => online.has(cpu) && usable(cpu));
  const devices = new Map(topology.pci.map((device) => [device.address, device]));
  const poolDevices = new Set(pool.devices);
  const iommuGroups = new Map<number, PciFunction[]>();
  for (const device of topology.pci) {
    if (device.iommuGroup === null) continue;
    const group = iommuGroups.get(device.iommuGroup);
    if (group === undefined) iommuGroups.set(device.iommuGroup, [device]);
    else group.push(device);
  }
  return { topology, pool, nodes, leaves, l3s, coreOf, nodeOfCpu, sharedCpus, devices, poolDevices, iommuGroups };
}

/** The number under which `key` is known, giving it the next one when it is new. */
function indexOf(known: Map<string, number>, key: string, add: (index: number) => void): number {
  const found = known.get(key);
  if (found !== undefined) return found;
  const index = known.size;
  known.set(key, index);
  add(index);
  return index;
}

/** Distance between two nodes given by index; a table with holes counts as one hop. */
export function distance(site: Site, from: number, to: number): number {
  return site.topology.numaNodes[from]?.distances[to] ?? (from === to ? LOCAL_DISTANCE : 2 * LOCAL_DISTANCE);
}

/** Distance from the nearest of `nodes` to `to`, by index. */
export function nearest(site: Site, nodes: readonly number[], to: number): number {
  let least = Number.POSITIVE_INFINITY;
  for (const node of nodes) least = Math.min(least, distance(site, node, to));
  return least === Number.POSITIVE_INFINITY ? LOCAL_DISTANCE : least;
}

/** Nodes of `cpus` by index: the one with the most of them first, then by number. */
export function nodesOfCpus(site: Site, cpus: readonly number[]): number[] {
  const counts = new Map<number, number>();
  for (const cpu of cpus) {
    const node = site.nodeOfCpu.get(cpu) ?? 0;
    counts.set(node, (counts.get(node) ?? 0) + 1);
  }
  return byCount(counts);
}

export function byCount(counts: ReadonlyMap<number, number>): number[] {
  return [...counts].sort(([a, most], [b, other]) => other - most || a - b).map(([node]) => node);
}

/** Node of a device by index; null when it or its node is not known. */
export function nodeOfDevice(site: Site, address: string): number | null {
  const index = site.nodes.indexOf(site.devices.get(address)?.node ?? Number.NaN);
  return index < 0 ? null : index;
}

/** CPUs in the order in which vCPUs use them: the threads of one core before the next core. */
export function vcpuOrder(site: Site, cpus: readonly number[]): number[] {
  const first = (cpu: number): number => site.coreOf.get(cpu)?.cpus[0] ?? cpu;
  return [...cpus].sort((a, b) => first(a) - first(b) || a - b);
}
