/**
 * A machine as plain data: what `pk topology --json` prints and what the planner works on. Nothing here does I/O, and a
 * value of this type written as JSON and read again is the same machine, so that a plan can be made for any host.
 *
 * CPUs are Linux logical numbers. All lists are ascending and without duplicates.
 */
export interface Topology {
  /** Version of this format. */
  format: 1;
  /** As `uname -m` would say: x86_64, aarch64, ppc64le, s390x, ...; `unknown` when nothing tells. */
  architecture: string;
  /** Every CPU that is present, offline ones too. */
  cpus: readonly Cpu[];
  /** One entry per physical cache: by level, then type, then first CPU. */
  caches: readonly Cache[];
  /** Ascending by id. A machine without NUMA has one node, 0, holding everything. Never empty. */
  numaNodes: readonly NumaNode[];
  /** Ascending by address. */
  pci: readonly PciFunction[];
  /** Base page size in bytes. */
  pageBytes: number;
  /** What limits the process that looked, not the machine; null where nothing does. */
  limits: {
    /** CPUs the cpuset or affinity allows. */
    cpus: readonly number[] | null;
    /** Memory nodes the cpuset allows. */
    nodes: readonly number[] | null;
    /** Memory limit of the control group, in bytes. */
    memoryBytes: number | null;
  };
  /** What was missing or contradictory, and what was assumed instead; one sentence each. */
  warnings: readonly string[];
}

export interface Cpu {
  id: number;
  online: boolean;
  /** Kept free of ordinary tasks by `isolcpus=`. */
  isolated: boolean;
  /** physical_package_id; ids are sparse on some machines. */
  package: number;
  /** Unique within the machine, counted from 0 in order of first CPU: the kernel's own ids repeat between packages. */
  die: number;
  /** Cores that share more than others (arm64, Intel E-core modules); counted as `die`; null where the kernel names none. */
  cluster: number | null;
  /** Physical core, counted as `die`. CPUs of one core are SMT siblings. */
  core: number;
  /** Position among the siblings of its core, from 0. */
  thread: number;
  /** NUMA node; null only when the kernel puts the CPU in none. */
  node: number | null;
  /** On machines with cores of several types. */
  type: 'performance' | 'efficiency' | null;
  /** By which firmware and interrupts name it (x86: `apicid` of /proc/cpuinfo); absent where the kernel does not say, as of one offline. */
  apicId?: number;
  /** Relative strength, 1024 for the strongest core of the machine; null where the kernel does not say. */
  capacity: number | null;
}

export interface Cache {
  level: number;
  type: 'data' | 'instruction' | 'unified';
  sizeBytes: number;
  lineBytes: number | null;
  /** CPUs that share it (present ones the kernel lists). */
  cpus: readonly number[];
}

export interface NumaNode {
  /** As the kernel numbers it; sparse. */
  id: number;
  /** Empty for a memory-only node. */
  cpus: readonly number[];
  /** 0 for a CPU-only node. */
  memoryBytes: number;
  /** Free now; null where unknown. */
  freeBytes: number | null;
  /** Distance to each node in `numaNodes`' order, 10 = local (ACPI SLIT). */
  distances: readonly number[];
  hugePages: readonly HugePages[];
}

/** Pages of one size on one node. */
export interface HugePages {
  sizeBytes: number;
  total: number;
  free: number;
}

export interface PciFunction {
  /** `0000:3b:00.0`: domain (4 or more digits), bus, device, function in lower-case hexadecimal. */
  address: string;
  /** 24-bit class code, 0x020000 for Ethernet. */
  class: number;
  vendor: number;
  device: number;
  /** Driver bound on the host; null = none. */
  driver: string | null;
  /** null = the platform does not say. */
  node: number | null;
  /** IOMMU group; null = no IOMMU. Functions of one group can only be given away together. */
  iommuGroup: number | null;
  /** Virtual functions it can have and has now; null when it is no physical function. */
  sriov: { totalVfs: number; numVfs: number } | null;
  /** Address of its physical function, when it is a virtual one. */
  physicalFunction: string | null;
  /** What the host uses it for (`root disk /dev/nvme0n1p2`, `default route eth0`), so that it cannot be given away. */
  hostUse: string | null;
}

/** What `pk topology --json` opens with. Counts what is online and within `limits`; `cpus` are hardware threads. */
export interface Summary {
  packages: number;
  cores: number;
  cpus: number;
  numaNodes: number;
  caches: { l1d: number; l1i: number; l2: number; l3: number };
  memoryBytes: number;
}
