/** Machines for the tests of advice and of the map: regular ones, which a test then changes where it matters. */
import type { Cache, Cpu, PciFunction, Topology } from '../../topology/index.ts';
import type { Ledger, Partition, Pool } from '../types.ts';

const GIB = 2 ** 30;

export interface Shape {
  packages?: number;
  nodesPerPackage?: number;
  /** 0 = no L3. */
  l3PerNode?: number;
  coresPerL3?: number;
  threads?: number;
  gibPerNode?: number;
}

/**
 * Threads are numbered as Linux does on x86: all first threads, then all second ones. Node distances: 10 within, 12 in
 * the package, 21 between packages. Each node has 1,024 huge pages of 2 MiB, all free.
 */
export function machine(shape: Shape = {}): Topology {
  const { packages = 1, nodesPerPackage = 1, l3PerNode = 1, coresPerL3 = 4, threads = 1, gibPerNode = 16 } = shape;
  const perNode = Math.max(l3PerNode, 1) * coresPerL3;
  const nodes = packages * nodesPerPackage;
  const cores = nodes * perNode;
  const cpus = Array.from({ length: cores * threads }, (_, id): Cpu => {
    const core = id % cores;
    const node = Math.floor(core / perNode);
    const die = Math.floor(node / nodesPerPackage);
    const thread = Math.floor(id / cores);
    const none = { cluster: null, type: null, capacity: null };
    return { id, online: true, isolated: false, package: die, die, core, thread, node, ...none };
  });
  const of = (test: (cpu: Cpu) => boolean) => cpus.filter(test).map((cpu) => cpu.id);
  const cache = (level: number, sizeBytes: number, shared: readonly number[]): Cache => ({
    level,
    type: 'unified',
    sizeBytes,
    lineBytes: 64,
    cpus: shared,
  });
  return {
    format: 1,
    architecture: 'x86_64',
    cpus,
    caches: [
      ...Array.from({ length: cores }, (_, core) =>
        cache(
          2,
          2 ** 20,
          of((cpu) => cpu.core === core),
        ),
      ),
      ...Array.from({ length: nodes * l3PerNode }, (_, l3) =>
        cache(
          3,
          32 * 2 ** 20,
          of((cpu) => Math.floor(cpu.core / coresPerL3) === l3),
        ),
      ),
    ],
    numaNodes: Array.from({ length: nodes }, (_, id) => ({
      id,
      cpus: of((cpu) => cpu.node === id),
      memoryBytes: gibPerNode * GIB,
      freeBytes: gibPerNode * GIB,
      distances: Array.from({ length: nodes }, (_, to) =>
        to === id ? 10 : Math.floor(to / nodesPerPackage) === Math.floor(id / nodesPerPackage) ? 12 : 21,
      ),
      hugePages: [{ sizeBytes: 2 * 2 ** 20, total: 1024, free: 1024 }],
    })),
    pci: [],
    pageBytes: 4096,
    limits: { cpus: null, nodes: null, memoryBytes: null },
    warnings: [],
  };
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
