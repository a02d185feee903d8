/**
 * Words of the ledger. The pool is what the host gave up; a partition is what one owner has of it. Everything is plain
 * data, sorted and without duplicates, so that equal states are equal as JSON.
 */

/** Bytes on one NUMA node; always whole pages. */
export interface NodeMemory {
  node: number;
  bytes: number;
}

/** What the host kernel has given up for instances. */
export interface Pool {
  /** All CPUs of the pool, shared ones among them. */
  cpus: readonly number[];
  /** Those of `cpus` that several instances may share; the others are only ever owned whole. */
  sharedCpus: readonly number[];
  memory: readonly NodeMemory[];
  /** PCI addresses. */
  devices: readonly string[];
}

/** What one instance owns of the pool. */
export interface Partition {
  /** CPUs nobody else has. Empty for an instance of the shared class, and for one that stands by. */
  cpus: readonly number[];
  /** Part in CPUs of the shared class; null for dedicated CPUs, with which it never mixes, and for none. */
  shared: SharedClaim | null;
  memory: readonly NodeMemory[];
  /** Page size of the memory in bytes; null = ordinary pages. */
  hugePageBytes: number | null;
  devices: readonly string[];
}

export interface SharedClaim {
  /** Shared CPUs its vCPUs run on, one each. */
  cpus: readonly number[];
  /** Thousandths of a CPU promised, over all of `cpus` in equal parts. */
  milliCpus: number;
  /** Relative weight where CPUs are contended, 1-10000, 100 = usual (cpu.weight of cgroup v2). */
  weight: number;
}

/** Who owns what. */
export interface Ledger {
  /** null = nothing was given up. */
  pool: Pool | null;
  /** By owner, which is an instance's name. */
  partitions: Readonly<Record<string, Partition>>;
}

/** What an instance asks for; the planner turns it into a Partition. */
export interface PartitionRequest {
  cpus: CpuRequest;
  memory: MemoryRequest;
  devices: readonly DeviceRequest[];
}

export type CpuRequest =
  | {
      kind: 'count';
      /** CPUs (hardware threads), at least 1. */
      count: number;
      /** The node all CPUs must be on; null = the planner chooses, one node if it can. */
      numa: number | null;
      /** `whole-core`: no SMT sibling of a given CPU belongs to anybody else (an odd thread stays empty). `any`: single threads. */
      smt: 'whole-core' | 'any';
      /** All on one L3; or `spread`: over nodes and L3s as evenly as there is room, for caches and memory channels of their own. */
      cache: 'any' | 'shared-l3' | 'spread';
      /** PCI address: on the node of that device. */
      near: string | null;
    }
  | {
      kind: 'exact';
      cpus: readonly number[];
    }
  | {
      kind: 'shared';
      /** Thousandths of a CPU. */
      milliCpus: number;
      weight: number;
    };

export type MemoryRequest = {
  /** Page size in bytes; null = ordinary pages. */
  hugePageBytes: number | null;
} & (
  | { kind: 'size'; bytes: number /** null = nearest to the CPUs. */; node: number | null }
  | { kind: 'nodes'; memory: readonly NodeMemory[] }
);

export type DeviceRequest =
  | { kind: 'address'; address: string }
  | {
      kind: 'class';
      /** A word for a range of PCI classes. */
      class: DeviceClass;
      count: number;
      /** Only virtual functions, only physical ones, or either. */
      function: 'any' | 'virtual' | 'physical';
    };

export type DeviceClass = 'network' | 'nvme' | 'storage' | 'gpu' | 'accelerator' | 'usb';
