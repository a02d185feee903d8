/** Machines of a regular shape, for tests of the planner and of the pool. */
import type { Cpu, PciFunction, Topology } from '../../src/topology/topology.ts';

/** Shape of a regular machine; every part has the same number of the next one. */
export interface HostShape {
  packages?: number;
  nodesPerPackage?: number;
  l3PerNode?: number;
  coresPerL3?: number;
  /** Threads of a core. */
  threads?: number;
  memoryBytesPerNode?: number;
  hugePagesPerNode?: readonly { sizeBytes: number; total: number }[];
  devices?: readonly (Partial<PciFunction> & { address: string })[];
}

/**
 * A machine as a person would draw it: CPUs numbered as Linux does on x86, all first threads before all second ones when
 * `numbering` is `threads-last`, or sibling after sibling. Distances are 10, 12 within a package, and 21 beyond.
 */
export function modelHost(
  shape: HostShape = {},
  numbering: 'siblings-together' | 'threads-last' = 'siblings-together',
): Topology {
  const { packages = 1, nodesPerPackage = 1, l3PerNode = 1, coresPerL3 = 4, threads = 2 } = shape;
  const nodes = packages * nodesPerPackage;
  const coresPerNode = l3PerNode * coresPerL3;
  const cores = nodes * coresPerNode;
  const cpus: Cpu[] = [];
  for (let core = 0; core < cores; core++) {
    const node = Math.floor(core / coresPerNode);
    for (let thread = 0; thread < threads; thread++) {
      cpus.push({
        id: numbering === 'siblings-together' ? core * threads + thread : thread * cores + core,
        online: true,
        isolated: false,
        package: Math.floor(node / nodesPerPackage),
        die: Math.floor(node / nodesPerPackage),
        cluster: null,
        core,
        thread,
        node,
        type: null,
        capacity: null,
      });
    }
  }
  cpus.sort((a, b) => a.id - b.id);
  const idsOf = (wanted: (cpu: Cpu) => boolean): number[] => cpus.filter(wanted).map((cpu) => cpu.id);
  const packageOf = (node: number): number => Math.floor(node / nodesPerPackage);
  return {
    format: 1,
    architecture: 'x86_64',
    cpus,
    caches: Array.from({ length: nodes * l3PerNode }, (_, l3) => ({
      level: 3,
      type: 'unified' as const,
      sizeBytes: 32 * 2 ** 20,
      lineBytes: 64,
      cpus: idsOf((cpu) => Math.floor(cpu.core / coresPerL3) === l3),
    })),
    numaNodes: Array.from({ length: nodes }, (_, node) => ({
      id: node,
      cpus: idsOf((cpu) => cpu.node === node),
      memoryBytes: shape.memoryBytesPerNode ?? 64 * 2 ** 30,
      freeBytes: null,
      distances: Array.from({ length: nodes }, (_, other) =>
        other === node ? 10 : packageOf(other) === packageOf(node) ? 12 : 21,
      ),
      hugePages: (shape.hugePagesPerNode ?? []).map((pages) => ({ ...pages, free: pages.total })),
    })),
    pci: (shape.devices ?? [])
      .map((device) => ({
        class: 0x020000,
        vendor: 0x8086,
        device: 0x1592,
        driver: null,
        node: 0,
        iommuGroup: null,
        sriov: null,
        physicalFunction: null,
        hostUse: null,
        ...device,
      }))
      .sort((a, b) => (a.address < b.address ? -1 : 1)),
    pageBytes: 4096,
    limits: { cpus: null, nodes: null, memoryBytes: null },
    warnings: [],
  };
}

/** Everything of a machine, but for the CPUs given, as a pool. */
export function modelPool(topology: Topology, without: readonly number[] = [], sharedCpus: readonly number[] = []) {
  return {
    cpus: topology.cpus.map((cpu) => cpu.id).filter((id) => !without.includes(id)),
    sharedCpus,
    memory: topology.numaNodes.map((node) => ({ node: node.id, bytes: node.memoryBytes })),
    devices: topology.pci.map((device) => device.address),
  };
}
