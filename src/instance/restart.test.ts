import { expect, it } from 'vitest';
import { decideRestart } from './restart.ts';

it.each([
  ['no', 1, 0, 0, undefined],
  ['always', 0, 0, 0, 1000],
  ['always', 1, 1, 0, 2000],
  ['always', 1, 5, 0, 32_000],
  ['always', 1, 6, 0, 60_000],
  ['always', 1, 9, 0, 60_000],
  ['always', 1, 10, 0, 600_000],
  ['always', 1, 1_000_000, 0, 600_000],
  ['always', 1, 6, 10_000, 0],
  ['unless-stopped', 0, 0, 0, 1000],
  ['unless-stopped', 1, 6, 0, 60_000],
  ['on-failure', 0, 0, 0, undefined],
  ['on-failure', 1, 9, 0, 60_000],
  ['on-failure:2', 1, 1, 0, 2000],
  ['on-failure:2', 1, 2, 0, undefined],
  ['on-failure:2', 1, 2, 10_000, 0],
] as const)('%s, exit %i, %i restarts in a row, ran %i ms: %s', (policy, exitCode, restartsInRow, ranMs, delayMs) => {
  expect(decideRestart({ policy, heal: 'no', reason: 'exit', exitCode, restartsInRow, ranMs }).delayMs).toBe(delayMs);
});

it.each([
  ['no', 'panic', undefined],
  ['lost', 'panic', 1000],
  ['hung', 'died', 1000],
  ['unhealthy', 'not-ready', 1000],
  ['unhealthy', 'exit', undefined],
  ['lost', 'failed', undefined],
  // It was ended for that, as its spec had it then.
  ['no', 'hung', 1000],
] as const)('healed of %s, one that ended by %s is started again: %s', (heal, reason, delayMs) => {
  const rest = { policy: 'no', exitCode: 1, restartsInRow: 0, ranMs: 0 } as const;
  expect(decideRestart({ ...rest, heal, reason }).delayMs).toBe(delayMs);
});
