/** When an ended instance is started again: a pure decision. */
import type { HealScope, InstanceExit, RestartPolicy } from './spec.ts';

const FIRST_DELAY_MS = 1_000;
const MOST_DELAY_MS = 60_000;
/** With so many restarts in a row that came to nothing it is a crash loop: the breaker opens, and lets one through only so often. */
export const LOOP = 10;
export const LOOP_DELAY_MS = 600_000;
/** A run this long was a good one: the count of failures and the delay start over. */
export const GOOD_RUN_MS = 10_000;

export interface RestartInput {
  policy: RestartPolicy;
  /** Of what it is healed, whatever the policy. */
  heal: HealScope;
  reason: InstanceExit['reason'];
  exitCode: number;
  /** Restarts since the last good run or the last start by a person. */
  restartsInRow: number;
  /** How long the run lasted from ready to its end; 0 if it never got ready. */
  ranMs: number;
}

const ALWAYS: ReadonlySet<RestartPolicy> = new Set(['always', 'unless-stopped']);
const LOST: ReadonlySet<InstanceExit['reason']> = new Set(['panic', 'died', 'not-ready']);
/** It was ended to be healed. */
const ENDED: ReadonlySet<InstanceExit['reason']> = new Set(['hung', 'unhealthy']);

/** `delayMs` until the next start, or undefined: it stays exited. `restartsInRow` is the count to keep. */
export function decideRestart(input: RestartInput): { delayMs: number | undefined; restartsInRow: number } {
  const wasGood = input.ranMs >= GOOD_RUN_MS;
  const before = wasGood ? 0 : input.restartsInRow;
  const most = mostRestarts(input.policy);
  // Whoever stopped it has set mayRestart in machine.ts, whatever the policy: so both words mean the same here.
  const byPolicy = ALWAYS.has(input.policy) || (input.exitCode !== 0 && before < most);
  const isHealed = ENDED.has(input.reason) || (input.heal !== 'no' && LOST.has(input.reason));
  if (!byPolicy && !isHealed) return { delayMs: undefined, restartsInRow: before };
  return { delayMs: wasGood ? 0 : delayOf(before), restartsInRow: before + 1 };
}

/** 1 s, 2 s, 4 s … 60 s, and in a crash loop 10 minutes. */
const delayOf = (restartsInRow: number): number =>
  restartsInRow >= LOOP ? LOOP_DELAY_MS : Math.min(FIRST_DELAY_MS * 2 ** restartsInRow, MOST_DELAY_MS);

function mostRestarts(policy: RestartPolicy): number {
  if (policy === 'no') return 0;
  if (policy === 'on-failure' || ALWAYS.has(policy)) return Infinity;
  return Number(policy.slice('on-failure:'.length));
}
