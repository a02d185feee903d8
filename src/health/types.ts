/** How instances do, beside what they are (their state). */
import type { KernelSign } from '../driver/index.ts';

/**
 * unknown: it does not run, or nothing was heard of it yet. starving: the host gives its vCPUs no time. unhealthy: its workload's
 * check fails, its memory did not suffice, or its kernel tells of trouble. hung: it is given time and says nothing. lost: its kernel went unasked.
 */
export type Health = 'unknown' | 'healthy' | 'starving' | 'unhealthy' | 'hung' | 'lost';

/** What a health is told by. */
export interface Sign {
  sign: 'check' | KernelSign;
  /** ISO 8601 UTC. */
  since: string;
  /** What was seen, for people. */
  seen: string;
}

/** One run of the workload's check. */
export interface CheckResult {
  /** When it began: ISO 8601 UTC. */
  at: string;
  tookMs: number;
  outcome: 'passed' | 'failed' | 'not-counted';
  /** null = it did not end by itself. */
  exitCode: number | null;
  /** Begin of what it wrote, or what became of it. */
  output: string;
}

export interface HealthStatus {
  name: string;
  id: string;
  state: string;
  health: Health;
  /** ISO 8601 UTC. */
  since: string;
  /** Somebody knows of it; until its health changes. */
  acknowledged: boolean;
  signs: Sign[];
  /** Which its driver can give, beside its check. */
  possible: KernelSign[];
  /** The workload's own; null = it has none. */
  check: { command: string; failures: number; results: CheckResult[] } | null;
}

/** Who is told outside when one is not well, and how that went since the daemon began. */
export interface AlertStatus {
  /** null = no program. */
  command: string[] | null;
  /** null = no web hook. */
  url: string | null;
  sent: number;
  failed: number;
  /** Beyond what may wait or be sent a minute. */
  dropped: number;
  /** Why the last one failed; null = it did not. */
  failure: string | null;
}
