/** What is asked of a trial, and what it saw. Times in milliseconds from its beginning unless they say otherwise. */
import type { FaultName } from './faults.ts';

export interface TrialRequest {
  victim: string;
  neighbours: readonly string[];
  fault: FaultName;
  /** On the instances themselves, not on clones of them. */
  live?: boolean | undefined;
  /** How long before the fault, under it and after it at least. */
  windowMs?: number | undefined;
}

/** Of the probe's requests in one part of the trial. Latencies in microseconds, null without requests. */
export interface Figures {
  seconds: number;
  /** How many were done in it, and how many of these failed. */
  requests: number;
  errors: number;
  p50Us: number | null;
  p99Us: number | null;
  worstUs: number | null;
  /** How much its agent said on the control line. */
  heard: number;
}

/** `during` is under the fault; `healing` until the victim runs again. */
export const PHASES = ['before', 'during', 'healing', 'after'] as const;

export interface KernelReport {
  /** As it was asked for. */
  name: string;
  /** The instance that was looked at: itself, or its clone. */
  instance: string;
  role: 'victim' | 'neighbour';
  driver: string;
  bootIdBefore: string | null;
  bootIdAfter: string | null;
  /** By how much its wall clock went away from this machine's at most, in milliseconds; null when it was not heard. */
  clockMs: number | null;
  before: Figures;
  during: Figures;
  healing: Figures;
  after: Figures;
  /** Over time, in pieces: when it began, and of the requests that were due in it the median and the worst, in microseconds. */
  series: readonly (readonly [ms: number, medianUs: number, worstUs: number])[];
}

/** One sentence of the verdict. `noted`: it counts for nothing. */
export interface Finding {
  about: 'fault' | 'kernel' | 'health' | 'errors' | 'work' | 'clock' | 'latency' | 'healing';
  /** As the instance was asked for. */
  name: string;
  outcome: 'held' | 'broken' | 'noted';
  reason: string;
}

/** contained: the fault took hold, and no neighbour was harmed. leaked: one was. not-shown: the fault did not take hold. */
export type Verdict = 'contained' | 'leaked' | 'not-shown';

export interface TrialReport {
  /** When it began: ISO 8601 UTC. */
  at: string;
  fault: FaultName;
  live: boolean;
  verdict: Verdict;
  /** Whether the victim was well again afterwards. */
  healed: boolean;
  findings: readonly Finding[];
  kernels: readonly KernelReport[];
  /** What the daemon told of these instances meanwhile. */
  events: readonly { ms: number; type: string; name: string; message: string }[];
  marks: { faultMs: number; healMs: number; healedMs: number; endMs: number };
  /** What the fault did, in its own unit; null when it could not say. */
  work: { done: number; unit: string } | null;
  /** In what clones differ from what they are clones of. */
  notes: readonly string[];
}
