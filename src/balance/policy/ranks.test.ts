/** Priorities, under each policy that knows any. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { batchTenant, generate } from '../simulate/families.ts';
import { run } from '../simulate/run.ts';
import { Timeline } from '../simulate/timeline.ts';
import type { Case } from '../simulate/types.ts';
import { window } from '../testing.ts';
import type { Observation } from '../types.ts';
import { why } from '../why.ts';
import { level } from './level.ts';
import { POLICIES } from './policies.ts';
import { levelByRank } from './ranks.ts';

/** Two services that ask for all there is, beside two batch kernels. */
const HUNGRY: Partial<Observation> = {
  ...{ cpus: 3, busy: 3, waiting: 9, throttled: 1, arrivals: 900, finished: 300, queued: 900, late: 1, p99Ms: 5000 },
};
const FLAT = new Set(['static', 'koordinator']);
const RANKED = POLICIES.filter(({ name }) => !FLAT.has(name));

const sizesUnder = (policy: (typeof POLICIES)[number], priorities: readonly number[]): number[] => {
  const controller = policy.begin();
  const kernels = priorities.map(
    (priority, index) => ({ min: 1, priority, kind: index < 2 ? 'service' : 'batch' }) as const,
  );
  const sizes = [3, 3, 3, 3];
  for (let at = 1; at <= 120; at++) {
    const seen = window(
      { cpus: 12, kernels, at },
      sizes.map((cpus, index) => ({
        ...HUNGRY,
        cpus,
        busy: cpus,
        ...(index > 1 && { arrivals: 0, queued: 0, p99Ms: null }),
      })),
    );
    for (const { index, cpus } of controller.decide(seen)) sizes[index] = cpus;
  }
  return sizes;
};

it.each(RANKED)('serves who has a higher priority first, and leaves all their floors: $name', (policy) => {
  const [first, second, ...batch] = sizesUnder(policy, [1, 2, 0, 0]);
  expect(second).toBeGreaterThan(first!);
  expect(Math.min(first!, ...batch)).toBeGreaterThanOrEqual(1);
  const [one, other] = sizesUnder(policy, [2, 1, 0, 0]);
  expect(one).toBeGreaterThan(other!);
});

it.each(RANKED.filter(({ name }) => !['karma', 'max-min'].includes(name)))(
  'gives no batch kernel what a service asks for, whatever its priority: $name',
  (policy) => {
    expect(sizesUnder(policy, [0, 0, 9, 9]).slice(2)).toEqual([1, 1]);
  },
);

it('keeps the promise of who comes first where it cannot keep both', () => {
  const base = generate('step', 1, { seconds: 1 });
  const late = (priorities: readonly number[]): number[] => {
    const tenants = priorities.map((priority, index) => ({
      ...{ ...base.tenants[index]!, priority, serviceMs: 10, promiseMs: 100, variation: 1, entitlement: 3, max: 8 },
    }));
    const rates = tenants.map(() => new Float32Array(120).fill(480));
    const scene: Case = {
      ...{ ...base, cpus: 8, step: 0.25, seconds: 120, tenants: [...tenants, batchTenant(8, 2)] },
      load: [...rates, new Float32Array(0)],
    };
    const timeline = new Timeline(scene);
    run(POLICIES.find(({ name }) => name === 'slo')!, scene, { timeline });
    if (priorities[0] !== priorities[1]) expect(timeline.decisions.map(why).join()).toContain('has a priority of');
    return [0, 1].map((index) => timeline.late[index]!.slice(30).filter((share) => share > 0.01).length);
  };
  const [first, second] = late([5, 0]);
  expect([first, second! > 60]).toEqual([0, true]);
  expect(late([0, 5])[1]).toBe(0);
});

it('levels as before where all are alike, and gives no more than there is', () => {
  const unit = fc.record({
    rank: fc.integer({ min: 0, max: 3 }),
    want: fc.nat({ max: 9 }),
    height: fc.integer({ min: -5, max: 5 }),
  });
  fc.assert(
    fc.property(fc.array(unit, { minLength: 1, maxLength: 8 }), fc.nat({ max: 40 }), (units, supply) => {
      const [heights, wants] = [units.map(({ height }) => height), units.map(({ want }) => want)];
      const alike = units.map(() => 7);
      expect(levelByRank(alike, heights, wants, supply)).toEqual(level(heights, wants, supply));
      const ranks = units.map(({ rank }) => rank);
      const got = levelByRank(ranks, heights, wants, supply);
      const total = got.reduce((sum, each) => sum + each, 0);
      expect(total).toBe(
        Math.min(
          supply,
          wants.reduce((sum, each) => sum + each, 0),
        ),
      );
      // Who wants more leaves nothing to who comes after him.
      for (const [index, rank] of ranks.entries())
        if (got[index]! < wants[index]!)
          for (const [other, lower] of ranks.entries()) if (lower < rank) expect(got[other]).toBe(0);
    }),
    { numRuns: 60, seed: 17 },
  );
});
