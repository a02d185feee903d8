/** The words of balancing. CPUs are counted in CPUs and may be fractions, times are seconds unless the name says otherwise. */

/** A kernel that takes part: what was declared of it. */
export interface Kernel {
  name: string;
  /** A service answers requests; a batch kernel takes what services leave. */
  kind: 'service' | 'batch';
  /** CPUs it never falls below, and never exceeds. */
  min: number;
  max: number;
  /** CPUs of its partition as declared: its own when all are short. */
  entitlement: number;
  /** When all are short higher ones are served first, services before batch kernels; floors hold whatever it is. */
  priority: number;
  /** At most 1 % of its requests may take longer; `null`: nothing was promised. */
  promiseMs: number | null;
}

/**
 * What was seen of a kernel in one interval. `busy` to `work` are its own word and may be lies; `cpus` is the ledger's, and
 * `arrivals` to `p99Ms` are counted on the host, where its requests pass.
 */
export interface Observation {
  /** False: no metrics came. Its size is frozen, and nothing else here means anything but `cpus`. */
  known: boolean;
  /** CPUs it owns, those on their way to it included. */
  cpus: number;
  /** CPUs busy: mean over the interval, highest 100 ms and deviation between them. */
  busy: number;
  busyPeak: number;
  busyDeviation: number;
  /** Runnable tasks that wait for a CPU, mean. */
  waiting: number;
  /** Share of the 100 ms samples in which all CPUs were busy and a task waited, 0 to 1. */
  throttled: number;
  /** Units of useful work done, where the workload counts any (batch kernels). */
  work: number;
  /** Requests per second that came, and that were answered. */
  arrivals: number;
  finished: number;
  /** Requests inside at the end of the interval beyond those being worked on. */
  queued: number;
  /** Share of the requests that came in the interval and were late, shed or lost, 0 to 1. */
  late: number;
  /** 99th percentile of the latency of requests that came in the interval; `null`: there were none. */
  p99Ms: number | null;
}

/** All that a policy is told: one interval of every kernel. `observations[i]` is of `kernels[i]`; the array of kernels is the
 * same object as long as nothing about them changed. Valid during the call only: who records it copies it. */
export interface Window {
  /** End of the interval, seconds since some start. */
  at: number;
  /** Its length. */
  seconds: number;
  /** CPUs of the pool, and the smallest piece in which they move: 1 for whole CPUs, less for shares. */
  cpus: number;
  grain: number;
  kernels: readonly Kernel[];
  observations: readonly Observation[];
}

/** A kernel whose memory may change, in bytes. */
export interface MemoryKernel extends Pick<Kernel, 'name' | 'kind' | 'priority'> {
  min: number;
  max: number;
  entitlement: number;
  /** Its sizes are so many bytes apart, from `min` on: its driver's. */
  step: number;
}

/** `bytes` is the ledger's, the rest a kernel's own word. */
export interface MemoryObservation {
  /** False: its size is frozen, and nothing else here means anything but `bytes`. */
  known: boolean;
  bytes: number;
  /** Bytes that its programs could have at once. */
  available: number;
  /** Seconds since its boot in which a task waited for memory; null: its kernel has no PSI. */
  stalled: number | null;
  /** Pages that a program waited for while they were read, and those that were read again soon after they had been given up, per second. */
  majorFaults: number | null;
  refaults: number | null;
}

/** What the law of memory is told. `observations[i]` is of `kernels[i]`. */
export interface MemoryWindow {
  at: number;
  /** Bytes that nobody has. */
  free: number;
  kernels: readonly MemoryKernel[];
  observations: readonly MemoryObservation[];
}

/** Something moves from one owner to another; `null` is the free part of the pool. Of a `weight`, requests move. */
export type Move =
  | { kind: 'cpu'; from: string | null; to: string | null; count: number }
  | { kind: 'memory'; from: string | null; to: string | null; bytes: number }
  | { kind: 'weight'; service: string; kernel: string; weight: number };

/** Why a kernel's size should change: the rule that fired, with the numbers it saw. why.ts makes a sentence of it. */
export type Reason =
  | { rule: 'equal-split'; kernels: number }
  | { rule: 'utilisation'; busy: number; target: number; highest: number; overSeconds: number }
  | { rule: 'slack'; slack: number; bound: number }
  | { rule: 'revert'; slack: number }
  | { rule: 'throttled'; share: number; target: number }
  | { rule: 'margin'; peak: number; margin: number; deviation: number }
  | { rule: 'suppress'; limit: number; busy: number; left: number }
  | { rule: 'latency-critical'; busy: number; room: number }
  | { rule: 'credits'; demand: number; fair: number; credits: number }
  | { rule: 'max-min'; demand: number }
  | {
      rule: 'need';
      arrivals: number;
      headroom: number;
      serviceMs: number;
      queued: number;
      need: number;
      lateNow: number;
    }
  | { rule: 'quiet'; seconds: number; need: number }
  | { rule: 'short'; need: number; entitlement: number; priority: number; credits: number }
  | { rule: 'outranked'; wanted: number; priority: number }
  | { rule: 'cannot-use'; usable: number; need: number }
  | { rule: 'distrusted'; entitlement: number; claimed: number }
  | { rule: 'capacity'; cpus: number; mean: number }
  | { rule: 'memory-wait'; waitedMs: number; overSeconds: number }
  | { rule: 'memory-rest'; availableBytes: number }
  | { rule: 'memory-spare'; availableBytes: number }
  | { rule: 'rest' };

/** A move with its reasons on either side; what is free has none. Sizes are those of the kernels it concerns: CPUs, bytes, or weights. */
export interface Decision {
  at: number;
  move: Move;
  /** What gives and what takes, with their sizes around this move. */
  giver?: Side;
  taker?: Side;
}

export interface Side {
  kernel: string;
  before: number;
  after: number;
  reason: Reason;
}

/** What a policy answers: sizes to be had, and why. Kernels that are not mentioned stay as they are. */
export interface Wish {
  /** Index into the window's kernels. */
  index: number;
  cpus: number;
  reason: Reason;
}

/**
 * A policy at work. The answer follows from the windows it was given since it began and from nothing else: no clock, no chance.
 * So what it knows needs no saving: one that is given the recorded windows again knows the same.
 */
export interface Controller {
  decide(window: Window): readonly Wish[];
}

/** A policy: how one begins, with which numbers, and which other ones are worth trying. */
export interface Policy {
  name: string;
  /** One line for people. */
  summary: string;
  /** Seconds from one decision to the next: the shortest windows that it wants. */
  interval: number;
  /** Whether memory goes where it is waited for, too (memory.ts). */
  memory?: boolean;
  /** Parameters by name; seconds, shares or CPUs, as the policy's file says. */
  defaults: Readonly<Record<string, number>>;
  /** Values of parameters that the benchmark tries on its tuning half. */
  grid: Readonly<Record<string, readonly number[]>>;
  begin(parameters?: Readonly<Record<string, number>>): Controller;
}
