/** The fluid against requests one by one, over spans of an hour. */
import { Events } from '../../src/balance/simulate/events.ts';
import { batchTenant } from '../../src/balance/simulate/families.ts';
import { Fluid } from '../../src/balance/simulate/fluid.ts';
import { Latencies } from '../../src/balance/simulate/latencies.ts';
import type { Tenant } from '../../src/balance/simulate/types.ts';
import { atMost, type Row } from '../row.ts';

const HOUR = 3600;
/** Of requests one by one, whose own chance is thereby halved or better. */
const RUNS = 4;

const SHAPES: Readonly<Record<string, (second: number) => number>> = {
  'load 0.6': () => 0.6,
  'load 0.8': () => 0.8,
  'load 0.9': () => 0.9,
  wave: (second) => 0.5 + 0.35 * Math.sin(second / 120),
  step: (second) => (second % 600 < 300 ? 0.4 : 0.85),
  crowd: (second) => (second % 600 < 30 ? 1.3 : 0.5),
  sawtooth: (second) => 0.2 + (0.9 * (second % 300)) / 300,
};
const KINDS = [
  { cpus: 2, variation: 1 },
  { cpus: 4, variation: 0.5 },
  { cpus: 8, variation: 1 },
];

export function modelRows(progress: (text: string) => void): Row[] {
  const errors: { name: string; error: number }[] = [];
  for (const { cpus, variation } of KINDS) {
    for (const [shape, load] of Object.entries(SHAPES)) {
      progress(`balance: fluid and events, ${shape} on ${cpus}`);
      const tenant: Tenant = {
        ...batchTenant(cpus, cpus),
        kind: 'service',
        promiseMs: 200,
        serviceMs: 20,
        variation,
        queueLimit: 5000,
      };
      const [fluid, events] = [new Latencies(), new Latencies()];
      const engines = [new Fluid(tenant, fluid)];
      for (let seed = 1; seed <= RUNS; seed++) engines.push(new Events(tenant, seed, events) as unknown as Fluid);
      for (let second = 0; second < HOUR; second++) {
        const rate = (load(second) * cpus * 1000) / tenant.serviceMs;
        for (const engine of engines) engine.step(rate, { early: cpus, later: cpus, at: 1, seconds: 1 });
      }
      const ratio = fluid.quantile(0.99) / events.quantile(0.99);
      errors.push({ name: `${shape} on ${cpus}: ${ratio.toFixed(2)}`, error: Math.abs(ratio - 1) });
    }
  }
  const worst = errors.reduce((a, b) => (b.error > a.error ? b : a));
  const beyond = errors.filter(({ error }) => error > 0.1);
  return [
    atMost(0.1, {
      of: 'value',
      name: `p99 of the fluid against ${RUNS} runs of events, an hour, worst of ${errors.length} cases`,
      value: worst.error,
      unit: '',
      peer: 'equal',
      peerValue: 1,
      note: `${beyond.length} beyond a tenth${beyond.length > 0 ? `: ${beyond.map(({ name }) => name).join('; ')}` : ''}`,
    }),
  ];
}
