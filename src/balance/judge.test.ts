import { expect, it } from 'vitest';
import { Judge } from './judge.ts';
import { window } from './testing.ts';
import type { Decision } from './types.ts';

const KERNELS = [{ name: 'web' }, { name: 'shop' }];
const seen = (web: [p99Ms: number, busy: number], shop: [p99Ms: number, busy: number]) =>
  window(
    { cpus: 4, kernels: KERNELS },
    [web, shop].map(([p99Ms, busy]) => ({ p99Ms, busy })),
  );
const side = (kernel: string, before: number, after: number) => ({
  kernel,
  before,
  after,
  reason: { rule: 'rest' } as const,
});
const MOVE: Pick<Decision, 'giver' | 'taker'> = { giver: side('shop', 3, 2), taker: side('web', 1, 2) };
const judged = (...after: ReturnType<typeof seen>[]) => {
  const judge = new Judge(seen([150, 1], [50, 1]), MOVE);
  return after.map((each) => judge.hear(each));
};

it('is harm when who gave breaks its promise in both windows after it, by more than before', () => {
  expect(judged(seen([90, 2], [130, 1]), seen([90, 2], [140, 1]))).toEqual([undefined, 'harm']);
  expect(judged(seen([90, 2], [130, 1]), seen([90, 2], [60, 1]))).toEqual([undefined, 'none']);
  // Slower, and as promised.
  expect(judged(seen([90, 2], [90, 1]), seen([90, 2], [95, 1]))).toEqual([undefined, 'none']);
});

it('is none to who uses what it got while what waited before is still answered late', () => {
  expect(judged(seen([300, 1.9], [50, 1]), seen([400, 2], [50, 1]))).toEqual([undefined, 'none']);
  expect(judged(seen([300, 1], [50, 1]), seen([400, 1.1], [50, 1]))).toEqual([undefined, 'harm']);
});
