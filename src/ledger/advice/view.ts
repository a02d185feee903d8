/** What the rules of advice look at, indexed once so that each rule is linear in the machine and its owners. */
import { type Cpu, cpusByCore, type NumaNode, type Topology } from '../../topology/index.ts';
import { housekeepingCpus } from '../pool.ts';
import type { Ledger, Partition, Pool } from '../types.ts';

export interface View {
  topology: Topology;
  pool: Pool | null;
  /** Ascending by name. */
  partitions: readonly { owner: string; partition: Partition; cpus: readonly Cpu[]; nodes: ReadonlySet<number> }[];
  cpu: ReadonlyMap<number, Cpu>;
  /** CPUs by core. */
  cores: ReadonlyMap<number, readonly Cpu[]>;
  node: ReadonlyMap<number, NumaNode>;
  /** CPUs the host keeps. */
  kept: readonly number[];
  /** Whose a CPU is. Free: the pool has it and nobody uses it. None: offline or not allowed to this process. */
  holder(cpu: number): Holder;
}

export type Holder = { kind: 'owner'; name: string } | { kind: 'shared' | 'free' | 'host' | 'none' };

export function viewOf(topology: Topology, ledger: Ledger): View {
  const { pool } = ledger;
  const cpu = new Map(topology.cpus.map((each) => [each.id, each]));
  const cores = cpusByCore(topology);
  const kept = housekeepingCpus(pool, topology);
  const holders = new Map<number, Holder>();
  for (const id of kept) holders.set(id, { kind: 'host' });
  for (const id of pool?.cpus ?? []) holders.set(id, { kind: 'free' });
  for (const id of pool?.sharedCpus ?? []) holders.set(id, { kind: 'shared' });
  const partitions = Object.keys(ledger.partitions)
    .sort()
    .map((owner) => {
      const partition = ledger.partitions[owner]!;
      for (const id of partition.cpus) holders.set(id, { kind: 'owner', name: owner });
      const cpus = cpusOf(partition).flatMap((id) => cpu.get(id) ?? []);
      const nodes = new Set(cpus.flatMap((each) => each.node ?? []));
      return { owner, partition, cpus, nodes };
    });
  return {
    topology,
    pool,
    partitions,
    cpu,
    cores,
    node: new Map(topology.numaNodes.map((each) => [each.id, each])),
    kept,
    holder: (id) => holders.get(id) ?? { kind: 'none' },
  };
}

/** CPUs a partition's vCPUs run on, dedicated or shared. */
export function cpusOf(partition: Partition): readonly number[] {
  return partition.shared?.cpus ?? partition.cpus;
}

export function holderText(holder: Holder): string {
  switch (holder.kind) {
    case 'owner':
      return holder.name;
    case 'shared':
      return 'the shared class';
    case 'free':
      return 'nobody';
    case 'host':
      return 'the host kernel';
    case 'none':
      return 'nobody here';
  }
}

/**
 * Nodes that are as near as can be to any of `from` among those that suit: a suitable node itself, else all at the least
 * distance (ACPI SLIT).
 */
export function nearestNodes(view: View, from: Iterable<number>, suits: (node: NumaNode) => boolean): Set<number> {
  const near = new Set<number>();
  const fitting = view.topology.numaNodes.map((node, index) => ({ node, index })).filter(({ node }) => suits(node));
  for (const id of from) {
    const start = view.node.get(id);
    if (start === undefined) continue;
    if (suits(start)) {
      near.add(id);
      continue;
    }
    const least = Math.min(...fitting.map(({ index }) => start.distances[index] ?? Number.POSITIVE_INFINITY));
    for (const { node, index } of fitting) if (start.distances[index] === least) near.add(node.id);
  }
  return near;
}

/** Distance between two nodes, 10 = local; null where the machine does not say. */
export function distance(view: View, from: number, to: number): number | null {
  const index = view.topology.numaNodes.findIndex((node) => node.id === to);
  return view.node.get(from)?.distances[index] ?? null;
}

/** The other threads of a CPU's core that are online. */
export function onlineSiblings(view: View, id: number): Cpu[] {
  const cpu = view.cpu.get(id);
  if (cpu === undefined) return [];
  return view.cores.get(cpu.core)!.filter((each) => each.id !== id && each.online);
}
