/** What passes between a control program and a kernel that parts its machine, as values; trees are made of them and read into them. */

/** Memory that is wanted: the kernel says where. `node`: of NUMA; undefined = any. */
export interface WantedMemory {
  readonly bytes: number;
  readonly node?: number | undefined;
}

/** Memory where it is. */
export interface MemoryRange {
  readonly base: number;
  readonly bytes: number;
  readonly node?: number | undefined;
}

export type PoolDevice =
  /** `address`: `0000:09:00.0`; `alias`: a name that goes with it into other kernels, at most 31 characters. */
  | {
      readonly kind: 'pci';
      readonly address: string;
      readonly vendor: number;
      readonly device: number;
      readonly alias?: string;
    }
  | { readonly kind: 'platform'; readonly name: string; readonly alias?: string };

/** What a kernel gives up to its pool when it has none yet. CPUs are physical ids: APIC ids, MPIDRs or hart ids. */
export interface Baseline {
  readonly cpus: readonly number[];
  readonly memory: readonly WantedMemory[];
  readonly devices?: readonly PoolDevice[];
}

/** A change of the pool, seen from it: `addCpus` come from the kernel that has it. */
export interface PoolChange {
  readonly target: 'pool';
  readonly addCpus?: readonly number[];
  readonly removeCpus?: readonly number[];
  readonly addMemory?: readonly WantedMemory[];
  /** Whole chunks. */
  readonly removeMemory?: readonly MemoryRange[];
  readonly addDevices?: readonly { readonly address: string; readonly alias?: string }[];
  readonly removeDevices?: readonly string[];
}

/** A change of an instance, seen from it: `addCpus` come from the pool. */
export interface InstanceChange {
  readonly target: 'instance';
  readonly name: string;
  readonly addCpus?: readonly number[];
  readonly removeCpus?: readonly number[];
  readonly addMemory?: readonly MemoryRange[];
  readonly removeMemory?: readonly MemoryRange[];
  readonly addDevices?: readonly { readonly address: string; readonly driver?: string }[];
  readonly removeDevices?: readonly string[];
}

export interface InstanceCreation {
  readonly target: 'create';
  readonly name: string;
  /** From 1; absent = the lowest that is free. */
  readonly id?: number;
  /** The first boots the kernel. */
  readonly cpus: readonly number[];
  readonly memoryBytes: number;
  readonly node?: number | undefined;
}

export interface InstanceRemoval {
  readonly target: 'remove';
  readonly name: string;
}

/** One part of a transaction; the parts are done in their order, and what was done stays done when a later one fails. */
export type Change = PoolChange | InstanceChange | InstanceCreation | InstanceRemoval;

/** A PCI function as trees that are read back show it. */
export interface SeenFunction {
  readonly address: string;
  readonly vendor: number;
  readonly device: number;
}

/** What a kernel says of its pool. */
export interface PoolState {
  /** Without one, `cpus` are the kernel's own. */
  readonly exists: boolean;
  readonly cpus: readonly number[];
  /** Of these the ones that no instance has. */
  readonly freeCpus: readonly number[];
  readonly chunks: readonly MemoryRange[];
  readonly functions: readonly SeenFunction[];
  readonly platformDevices: readonly string[];
}

/** What a kernel says of an instance. */
export interface InstanceState {
  readonly name: string;
  readonly id: number;
  readonly cpus: readonly number[];
  /** Of its first region. */
  readonly memoryBase: number;
  /** Of all regions together, which need not follow each other. */
  readonly memoryBytes: number;
  readonly functions: readonly SeenFunction[];
  readonly platformDevices: readonly string[];
}

/** What an instance may be called: its name becomes that of a directory and of memory in /proc/iomem. */
export const INSTANCE_NAME = /^[A-Za-z0-9._-]{1,63}$/;
