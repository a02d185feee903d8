import type { Summary, Topology } from './topology.ts';

/**
 * Counts what is online and, inside a cpuset, allowed: what hwloc's `lstopo` shows of the same machine.
 * A cache or core counts when one of its CPUs does; a package also when only memory of it does.
 */
export function summarize({ cpus, caches, numaNodes, limits }: Topology): Summary {
  const allowedCpus = limits.cpus && new Set(limits.cpus);
  const allowedNodes = limits.nodes && new Set(limits.nodes);
  const counted = cpus.filter(({ id, online }) => online && (allowedCpus?.has(id) ?? true));
  const ids = new Set(counted.map(({ id }) => id));
  const used = caches.filter((cache) => cache.cpus.some((cpu) => ids.has(cpu)));
  const nodes = numaNodes.filter(({ id }) => allowedNodes?.has(id) ?? true);
  const packageOf = new Map(cpus.map((cpu) => [cpu.id, cpu.package]));
  const packages = new Set(counted.map((cpu) => cpu.package));
  for (const node of nodes) {
    const [first, ...others] = new Set(node.cpus.map((cpu) => packageOf.get(cpu)));
    if (first !== undefined && others.length === 0) packages.add(first);
  }
  const number = (level: number, instruction: boolean) =>
    used.filter((cache) => cache.level === level && (cache.type === 'instruction') === instruction).length;
  return {
    packages: packages.size,
    cores: new Set(counted.map((cpu) => cpu.core)).size,
    cpus: counted.length,
    numaNodes: nodes.length,
    caches: { l1d: number(1, false), l1i: number(1, true), l2: number(2, false), l3: number(3, false) },
    memoryBytes: nodes.reduce((sum, node) => sum + node.memoryBytes, 0),
  };
}
