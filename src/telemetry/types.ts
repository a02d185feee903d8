/** What is known of an instance in numbers. docs/telemetry.md says where each comes from. */

/** As Linux accounts its CPUs: `user` with nice, `irq` with softirq, `steal` with what the host took. Guest time is user. */
export const CPU_STATES = ['user', 'system', 'idle', 'iowait', 'irq', 'steal'] as const;
export type CpuState = (typeof CPU_STATES)[number];

/** Read once: counters since the kernel booted. A part that could not be read or made no sense is null. */
export interface GuestCounters {
  /** When the host got it, in milliseconds of the daemon's clock. */
  atMs: number;
  /** When the guest read it, in milliseconds of a clock of its own. */
  guestMs: number;
  /** CPUs online. */
  cpus: number | null;
  /** Seconds, summed over its CPUs. */
  cpuSeconds: Record<CpuState, number> | null;
  /** Tasks that run or want to, without the one that reads. */
  runnable: number | null;
  /** Tasks that wait for a disk. */
  blocked: number | null;
  memory: GuestMemory | null;
  faults: { minor: number; major: number; refaults: number } | null;
  /** Processes that its kernel has killed for want of memory. */
  oomKills: number | null;
  disk: DiskCounters | null;
  network: NetworkCounters | null;
  /** null where the kernel has no PSI. */
  pressure: PressureCounters | null;
}

export interface GuestMemory {
  totalBytes: number;
  availableBytes: number;
  /** Total less available. */
  usedBytes: number;
  /** Page cache and buffers. */
  cachedBytes: number;
}

export interface DiskCounters {
  readBytes: number;
  writtenBytes: number;
  reads: number;
  writes: number;
}

export interface NetworkCounters {
  receivedBytes: number;
  sentBytes: number;
  receivedPackets: number;
  sentPackets: number;
  /** Errors and drops of both directions. */
  faults: number;
}

/** Seconds in which some, or all, tasks waited for it. */
export interface Stall {
  some: number;
  full: number;
}
export type PressureCounters = Record<'cpu' | 'memory' | 'io', Stall | null>;

/** Counters of the host kernel since the launch. */
export interface HostCounters {
  atMs: number;
  vcpus: readonly VcpuCounters[];
  /** Of everything of the launch that is no vCPU: VMM, jail, shim. */
  othersSeconds: number;
  /** Memory of the host that the VMM has touched. */
  residentBytes: number | null;
}

export interface VcpuCounters {
  /** Real CPU time. */
  ranSeconds: number;
  /** Time it wanted to run and the host ran something else. */
  delaySeconds: number;
}

/** What the guest says, per second. A share is of one CPU: 2 is two CPUs all the time. */
export interface GuestRates {
  cpu: Record<CpuState, number> | null;
  faults: { minorPerSecond: number; majorPerSecond: number; refaultsPerSecond: number } | null;
  disk: Record<'readBytesPerSecond' | 'writtenBytesPerSecond' | 'readsPerSecond' | 'writesPerSecond', number> | null;
  network: Record<
    | 'receivedBytesPerSecond'
    | 'sentBytesPerSecond'
    | 'receivedPacketsPerSecond'
    | 'sentPacketsPerSecond'
    | 'faultsPerSecond',
    number
  > | null;
  /** Shares of the time, from 0 to 1. */
  pressure: Record<'cpu' | 'memory' | 'io', Stall | null> | null;
}

export interface HostRates {
  vcpus: { cpu: number; delay: number }[];
  /** Sum over its vCPUs, in CPUs. */
  cpu: number;
  delay: number;
  others: number;
}

/** The latest of one instance. */
export interface InstanceStats {
  name: string;
  id: string;
  state: string;
  driver: string;
  vcpus: number;
  memoryBytes: number;
  /** ISO 8601 UTC; null before the first sample. */
  at: string | null;
  restarts: number;
  /** Spawn to ready of the last start. */
  readyMs: number | null;
  guest: GuestStats | null;
  host: HostStats | null;
  channels: ChannelStats[];
  /** Of the services it is a target of; null when it is of none. */
  requests: RequestStats | null;
}

export interface GuestStats {
  /** ISO 8601 UTC. */
  at: string;
  cpus: number | null;
  cpuSeconds: Record<CpuState, number> | null;
  /** In CPUs. */
  cpu: Record<CpuState, number> | null;
  /** Neither idle nor iowait, in CPUs, as the guest accounts it. */
  busy: number | null;
  runQueue: number | null;
  blocked: number | null;
  pressure: PressureStats;
  memory: GuestMemory | null;
  faults: (GuestRates['faults'] & { minor: number; major: number; refaults: number }) | null;
  disk: (NonNullable<GuestRates['disk']> & DiskCounters) | null;
  network: (NonNullable<GuestRates['network']> & NetworkCounters) | null;
}

export interface PressureStats {
  /** `psi`: of the guest's kernel. `run-queue`: it has none; share of samples with more runnable tasks than CPUs. */
  source: 'psi' | 'run-queue';
  cpu: number | null;
  memory: number | null;
  io: number | null;
  /** Since boot, in seconds; null without PSI. */
  seconds: PressureCounters | null;
}

export interface HostStats {
  /** ISO 8601 UTC. */
  at: string;
  /** Of its vCPUs, in CPUs: what the instance really used. */
  cpu: number;
  /** Of its vCPUs, in CPUs: what the host withheld. */
  delay: number;
  /** CPUs used above what the guest accounts as busy: a guest that spins while idle, or the cost of emulation. */
  overGuest: number | null;
  others: number;
  othersSeconds: number;
  vcpus: (VcpuCounters & { cpu: number; delay: number })[];
  residentBytes: number | null;
}

export interface ChannelStats {
  name: string;
  side: 'send' | 'recv';
  depthBytes: number;
  sizeBytes: number;
  messages: number;
  bytes: number;
  stalls: number;
  drops: number;
}

export interface RequestStats {
  ratePerSecond: number;
  errorsPerSecond: number;
  inFlight: number;
  /** Of the last seconds; null without a request. */
  latencyMs: Record<'p50' | 'p90' | 'p99', number | null>;
}

/** Numbers of one instance over time. */
export interface StatsSeries {
  name: string;
  id: string;
  stepSeconds: number;
  /** Seconds since 1970: begin of each step, ascending; steps without a sample are left out. */
  times: number[];
  /** By metric: the mean of each step, or null. */
  values: Record<string, (number | null)[]>;
  /** The largest of each step. */
  peaks: Record<string, (number | null)[]>;
}
