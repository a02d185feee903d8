/** Machines and ledgers for the tests of advice and of the map, with little to write. */
import type { Ledger, Partition, Pool } from '../../src/ledger/types.ts';
import type { Cpu, PciFunction, Topology } from '../../src/topology/topology.ts';
import { type HostShape, modelHost } from './model-host.ts';

const GIB = 2 ** 30;

/**
 * A modelHost of one thread per core unless it says otherwise, second threads numbered after all first ones; each node has
 * 1,024 huge pages of 2 MiB. `l3PerNode` 0 = no L3.
 */
export function machine({
  gibPerNode = 16,
  l3PerNode = 1,
  ...shape
}: HostShape & { gibPerNode?: number } = {}): Topology {
  const hugePagesPerNode = [{ sizeBytes: 2 * 2 ** 20, total: 1024 }];
  const whole = { threads: 1, memoryBytesPerNode: gibPerNode * GIB, hugePagesPerNode, ...shape };
  const topology = modelHost({ ...whole, l3PerNode: Math.max(l3PerNode, 1) }, 'threads-last');
  return l3PerNode === 0 ? { ...topology, caches: [] } : topology;
}

/** `topology` with the CPUs that `test` holds for changed. */
export function withCpus(topology: Topology, test: (cpu: Cpu) => boolean, change: Partial<Cpu>): Topology {
  return { ...topology, cpus: topology.cpus.map((cpu) => (test(cpu) ? { ...cpu, ...change } : cpu)) };
}

/** A network card. */
export function networkCard(address: string, more: Partial<PciFunction> = {}): PciFunction {
  const none = { driver: null, node: null, iommuGroup: null, sriov: null, physicalFunction: null, hostUse: null };
  return { address, class: 0x020000, vendor: 0x8086, device: 0x1572, ...none, ...more };
}

/** Memory as [node, GiB]. */
type Gib = readonly (readonly [number, number])[];
const memory = (gib: Gib) => gib.map(([node, size]) => ({ node, bytes: size * GIB }));

export function pool(cpus: readonly number[], gib: Gib, more: Partial<Pool> = {}): Pool {
  return { cpus, sharedCpus: [], memory: memory(gib), devices: [], ...more };
}

export function partition(cpus: readonly number[], gib: Gib, more: Partial<Partition> = {}): Partition {
  return { cpus, shared: null, memory: memory(gib), hugePageBytes: null, devices: [], ...more };
}

export function share(cpus: readonly number[], milliCpus: number, gib: Gib): Partition {
  return { ...partition([], gib), shared: { cpus, milliCpus, weight: 100 } };
}

export function ledger(given: Pool, partitions: Record<string, Partition> = {}): Ledger {
  return { pool: given, partitions };
}

/** The numbers from `first` to `last`. */
export function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}
