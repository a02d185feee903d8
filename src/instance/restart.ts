/** When an ended instance is started again: a pure decision. */
import type { RestartPolicy } from './spec.ts';

const FIRST_DELAY_MS = 1_000;
const MOST_DELAY_MS = 60_000;
/** A run this long was a good one: the count of failures and the delay start over. */
export const GOOD_RUN_MS = 10_000;

export interface RestartInput {
  policy: RestartPolicy;
  exitCode: number;
  /** Restarts since the last good run or the last start by a person. */
  restartsInRow: number;
  /** How long the run lasted from ready to its end; 0 if it never got ready. */
  ranMs: number;
}

const ALWAYS: ReadonlySet<RestartPolicy> = new Set(['always', 'unless-stopped']);

/** `delayMs` until the next start, or undefined: it stays exited. `restartsInRow` is the count to keep. */
export function decideRestart(input: RestartInput): { delayMs: number | undefined; restartsInRow: number } {
  const before = input.ranMs >= GOOD_RUN_MS ? 0 : input.restartsInRow;
  const most = mostRestarts(input.policy);
  // Whoever stopped it has set mayRestart in machine.ts, whatever the policy: so both words mean the same here.
  const due = ALWAYS.has(input.policy) || (input.exitCode !== 0 && before < most);
  if (!due) return { delayMs: undefined, restartsInRow: before };
  // 1 s, 2 s, 4 s … 60 s; the exponent is capped so that it stays a finite number.
  const delayMs = Math.min(FIRST_DELAY_MS * 2 ** Math.min(before, 16), MOST_DELAY_MS);
  return { delayMs, restartsInRow: before + 1 };
}

function mostRestarts(policy: RestartPolicy): number {
  if (policy === 'no') return 0;
  if (policy === 'on-failure' || ALWAYS.has(policy)) return Infinity;
  return Number(policy.slice('on-failure:'.length));
}
