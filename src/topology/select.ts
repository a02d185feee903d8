/** Questions about a machine that several parts ask. */
import type { Cache, Cpu, NumaNode, Topology } from './topology.ts';

/** CPUs of each core, by core number, ascending; offline ones too. */
export function cpusByCore(topology: Pick<Topology, 'cpus'>): Map<number, Cpu[]> {
  return groupBy(topology.cpus, (cpu) => cpu.core);
}

/** The other CPUs of the same core. */
export function siblingsOf(topology: Pick<Topology, 'cpus'>, id: number): Cpu[] {
  const core = topology.cpus.find((cpu) => cpu.id === id)?.core;
  return topology.cpus.filter((cpu) => cpu.core === core && cpu.id !== id);
}

/** Caches of a level that hold data, in order of their first CPU. */
export function dataCaches(topology: Pick<Topology, 'caches'>, level: number): Cache[] {
  return topology.caches.filter((cache) => cache.level === level && cache.type !== 'instruction');
}

/** Index of the L3 each CPU is on, among `dataCaches(topology, 3)`; CPUs without one are absent. */
export function l3ByCpu(topology: Pick<Topology, 'caches'>): Map<number, number> {
  return new Map(dataCaches(topology, 3).flatMap(({ cpus }, index) => cpus.map((cpu) => [cpu, index] as const)));
}

export function nodeById(topology: Pick<Topology, 'numaNodes'>, id: number): NumaNode | undefined {
  return topology.numaNodes.find((node) => node.id === id);
}

/** In order of first appearance. */
export function groupBy<Item, Key>(items: Iterable<Item>, key: (item: Item) => Key): Map<Key, Item[]> {
  const groups = new Map<Key, Item[]>();
  for (const item of items) {
    const group = groups.get(key(item));
    if (group === undefined) groups.set(key(item), [item]);
    else group.push(item);
  }
  return groups;
}
