/** The fluid against requests one by one. Chance is seeded: the same numbers on every machine. The bench has more cases and an hour each. */
import { expect, it } from 'vitest';
import { Events } from './events.ts';
import { batchTenant } from './families.ts';
import { Fluid } from './fluid.ts';
import { Latencies } from './latencies.ts';
import { ServiceTimes } from './service-times.ts';
import type { Tenant } from './types.ts';

const TENANT: Tenant = {
  ...batchTenant(64, 1),
  name: 'web',
  kind: 'service',
  promiseMs: 150,
  serviceMs: 20,
  queueLimit: 2000,
};
const SECONDS = 300;

function p99s(cpus: number, load: (second: number) => number, variation = 1) {
  const tenant = { ...TENANT, variation };
  const latencies = [new Latencies(), new Latencies()];
  const engines = [new Fluid(tenant, latencies[0]), new Events(tenant, 1, latencies[1])];
  for (let second = 0; second < SECONDS; second++) {
    const rate = (load(second) * cpus * 1000) / tenant.serviceMs;
    for (const engine of engines) engine.step(rate, { early: cpus, later: cpus, at: 1, seconds: 1 });
  }
  for (const engine of engines) engine.finish();
  return { p99: latencies.map((each) => each.quantile(0.99)), violated: engines.map((each) => each.violated) };
}

it.each<[string, number, (second: number) => number, number?]>([
  ['a steady load', 4, () => 0.6],
  ['a high load', 8, () => 0.85],
  ['even requests', 4, () => 0.7, 0.3],
  ['a wave', 4, (second) => 0.5 + 0.3 * Math.sin(second / 30)],
  ['a crowd that overloads it', 8, (second) => (second % 150 < 20 ? 1.3 : 0.5)],
])('agrees with %s on the 99th percentile, within a tenth', (_, cpus, load, variation) => {
  const { p99 } = p99s(cpus, load, variation);
  expect(p99[0]! / p99[1]!).toBeGreaterThan(0.9);
  expect(p99[0]! / p99[1]!).toBeLessThan(1.1);
});

it('agrees on which seconds an overload violates', () => {
  const { violated } = p99s(8, (second) => (second % 150 < 20 ? 1.3 : 0.5));
  expect(violated[0]! / violated[1]!).toBeCloseTo(1, 0);
});

it('keeps all work: what came is answered, waits or was shed', () => {
  const engine = new Fluid({ ...TENANT, queueLimit: 1e9 });
  let came = 0;
  let answered = 0;
  for (let second = 0; second < 100; second++) {
    const rate = second < 50 ? 150 : 20;
    engine.step(rate, { early: 2, later: 2, at: 1, seconds: 1 });
    came += rate;
    answered += engine.finished;
    expect(came).toBeCloseTo(answered + engine.queued, 3);
  }
});

it('takes longer when memory is short, sheds beyond the queue, and says less about a kernel without threads for its CPUs', () => {
  const step = (tenant: Partial<Tenant>, rate: number, cpus = 2) => {
    const engine = new Fluid({ ...TENANT, ...tenant });
    for (let second = 0; second < 20; second++) engine.step(rate, { early: cpus, later: cpus, at: 1, seconds: 1 });
    return engine;
  };
  expect(step({ memory: { has: 100, base: 125, perRequest: 0 } }, 40).busy).toBeCloseTo(2 * step({}, 40).busy, 3);
  expect(step({ queueLimit: 10 }, 300)).toMatchObject({ queued: 10 });
  expect(step({ queueLimit: 10 }, 300).late).toBeGreaterThan(0.6);
  const narrow = step({ parallelism: 2 }, 300, 4);
  expect([narrow.waiting, narrow.throttled]).toEqual([0, 0]);
  expect(narrow.queued).toBeGreaterThan(100);
});

it('has service times whose mean is 1 and whose tail grows with their variation', () => {
  const table = new ServiceTimes(1);
  expect(table.fine.reduce((a, b) => a + b, 0) / table.fine.length).toBeCloseTo(1, 9);
  expect(table.coarse.reduce((sum, { weight }) => sum + weight, 0)).toBeCloseTo(1, 9);
  expect(table.at(0.99)).toBeGreaterThan(new ServiceTimes(0.2).at(0.99));
});
