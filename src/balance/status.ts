/** Balancing as the API tells it: what it is told to do, and what it sees. */
import type { Balancer } from './balancer.ts';
import type { DecisionLog } from './decision-log.ts';
import type { Mode } from './settings.ts';

const HOUR_MS = 3_600_000;

export interface BalanceStatus {
  mode: Mode;
  policy: string;
  suspended: string | null;
  holds: { name: string; until: string }[];
  kernels: SeenKernel[];
  /** Of the last hour. */
  moves: { kept: number; undone: number; failed: number };
  /** Of the last hour too. */
  reasons: ReturnType<DecisionLog['reasons']>;
}

/** A kernel that takes part, as it was last seen. */
export interface SeenKernel {
  name: string;
  kind: 'service' | 'batch';
  cpus: number;
  min: number;
  max: number;
  priority: number;
  /** Of latency, in milliseconds; null = nothing was promised. */
  promiseMs: number | null;
  /** False: no metrics came, or its size is held. */
  known: boolean;
  busy: number;
  waiting: number;
  p99Ms: number | null;
}

export function statusOf(balancer: Balancer, decisions: DecisionLog, nowMs: number): BalanceStatus {
  const { mode, policy, suspended, holds } = balancer.settings;
  const count = (outcome: 'kept' | 'undone' | 'failed') => decisions.count(outcome, HOUR_MS, nowMs);
  return {
    ...{ mode, policy, suspended },
    holds: Object.entries(holds).map(([name, until]) => ({ name, until })),
    kernels: balancer.windows().flatMap(({ kernels, observations }) =>
      kernels.map(({ name, kind, min, max, priority, promiseMs }, index): SeenKernel => {
        const { known, cpus, busy, waiting, p99Ms } = observations[index]!;
        return { name, kind, cpus, min, max, priority, promiseMs, known, busy, waiting, p99Ms };
      }),
    ),
    moves: { kept: count('kept'), undone: count('undone'), failed: count('failed') },
    reasons: decisions.reasons(nowMs - HOUR_MS),
  };
}
