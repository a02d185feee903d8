import { describe, expect, it } from 'vitest';
import { POLICIES } from '../policy/policies.ts';
import { allDivisions, clairvoyant, regret } from './clairvoyant.ts';
import { FAMILY_NAMES, generate } from './families.ts';
import { run } from './run.ts';

describe.each(FAMILY_NAMES)('%s', (family) => {
  it.each([
    ['exactly', { services: 2, cpus: 8, step: 1, seconds: 40 }, true],
    ['by a bound', { services: 3, cpus: 12, step: 0.25, seconds: 40 }, false],
  ])('one who knows the future, %s, violates no more than any policy', (_, size, exact) => {
    const scene = generate(family, 3, size);
    const bound = clairvoyant(scene);
    expect(bound.exact).toBe(exact);
    for (const policy of POLICIES)
      expect(run(policy, scene).violationSeconds, policy.name).toBeGreaterThanOrEqual(bound.seconds);
  });
});

it('finds the division that is needed, when there is one', () => {
  // Two services that take turns in needing three of four CPUs: no fixed division serves both.
  const scene = generate('step', 1, { services: 2, cpus: 5, step: 1, seconds: 40 });
  const tenants = scene.tenants.map((tenant) => ({ ...tenant, serviceMs: 10, promiseMs: 150, variation: 1 }));
  const turns = (first: boolean) =>
    Float32Array.from({ length: 40 }, (_, second) => (second % 20 < 10 === first ? 220 : 40));
  const load = [turns(true), turns(false), new Float32Array(0)];
  expect(clairvoyant({ ...scene, tenants, load }).seconds).toBe(0);
  expect(run(POLICIES[0]!, { ...scene, tenants, load }).violationSeconds).toBeGreaterThan(0);
});

it('divides whole pieces in every way', () => {
  const [web, db] = generate('step', 1, { services: 2, cpus: 5 }).tenants;
  expect(allDivisions([web!, db!], 4, 1)).toEqual([
    [1, 3],
    [2, 2],
    [3, 1],
  ]);
});

it('has a regret of 0 at best and 1 at the equal split', () => {
  expect([regret(10, 50, 10), regret(50, 50, 10), regret(30, 50, 10), regret(0, 0, 0), regret(1, 0, 0)]).toEqual([
    0,
    1,
    0.5,
    0,
    null,
  ]);
});

it('tells what waits apart again when an overload is over', () => {
  const scene = generate('step', 1, { services: 2, cpus: 8, step: 1, seconds: 60 });
  const tenants = scene.tenants.map((tenant) => ({ ...tenant, serviceMs: 16, promiseMs: 128, variation: 1 }));
  // Both need the fourth of seven CPUs, after so many seconds in which they hardly do.
  const after = (overload: number) => {
    const load = [3, 3.6].map((busy) =>
      Float32Array.from({ length: overload + 40 }, (_, second) => (second < overload ? busy : 2.6) * 62.5),
    );
    return clairvoyant({ ...scene, tenants, load: [...load, new Float32Array(0)], seconds: overload + 40 }).seconds;
  };
  const without = after(0);
  expect(without).toBeGreaterThan(20);
  expect(after(20)).toBeGreaterThan(without);
});
