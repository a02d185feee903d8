/** What deciding for many kernels costs, and simulating them for long. */

import { random } from '../../src/balance/policy/random.ts';
import { settle } from '../../src/balance/policy/settle.ts';
import { slo } from '../../src/balance/policy/slo.ts';
import { batchTenant, generate } from '../../src/balance/simulate/families.ts';
import { run } from '../../src/balance/simulate/run.ts';
import type { Case } from '../../src/balance/simulate/types.ts';
import type { Observation, Window } from '../../src/balance/types.ts';
import { atMost, median, type Row } from '../row.ts';

const KERNELS = 1000;
const ROUNDS = 200;
const DAY = 86_400;

/** To be called before others are simulated: a daemon decides by one policy, and what the engine has made of its code is for that. */
export function decisionRow(progress: (text: string) => void): Row {
  progress(`balance: ${KERNELS} kernels decided`);
  return atMost(2, {
    of: 'value',
    name: `${KERNELS} kernels decided by slo, median`,
    value: decideTime(),
    unit: 'ms of CPU',
    peer: 'goal',
    peerValue: 2,
    note: 'in a process that has simulated nothing before',
  });
}

export function speedRows(progress: (text: string) => void): Row[] {
  const seconds = [1, 4, 24].map((hours) => {
    progress(`balance: 100 tenants for ${hours} h`);
    const scene = manyTenants(100, (hours * DAY) / 24);
    // Of the CPU: how long others make it wait says nothing about it.
    const before = process.cpuUsage();
    run(slo, scene);
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1e6;
  });
  const [hour, , day] = seconds as [number, number, number];
  return [
    atMost(60, {
      of: 'value',
      name: '100 tenants for 24 h in steps of a second under slo',
      value: day,
      unit: 's of CPU',
      peer: 'goal',
      peerValue: 60,
    }),
    atMost(1.3, {
      name: 'an hour of the 24',
      value: day / 24,
      unit: 's of CPU',
      peer: 'an hour alone',
      peerValue: hour,
    }),
  ];
}

function decideTime(): number {
  const chance = random(1);
  const kernels: Window['kernels'] = Array.from({ length: KERNELS }, (_, index) => ({
    ...batchTenant(16, 2),
    name: `k${index}`,
    ...(index % 10 === 0 ? {} : { kind: 'service' as const, promiseMs: 100 }),
  }));
  const observations: Observation[] = kernels.map(() => ({
    known: true,
    cpus: 2,
    busy: 1,
    busyPeak: 1.5,
    busyDeviation: 0.2,
    waiting: 0.1,
    throttled: 0.1,
    work: 0,
    arrivals: 100,
    finished: 100,
    queued: 0,
    late: 0,
    p99Ms: 40,
  }));
  const controller = slo.begin();
  const times: number[] = [];
  const window: Window = { at: 0, seconds: 0.25, cpus: 2 * KERNELS, grain: 1, kernels, observations };
  for (let round = 0; round < ROUNDS; round++) {
    window.at += 0.25;
    for (const seen of observations) {
      seen.arrivals = seen.finished = 20 + 200 * chance();
      seen.busy = seen.arrivals / 100;
    }
    const before = process.cpuUsage();
    const decisions = settle(window, controller.decide(window));
    const { user, system } = process.cpuUsage(before);
    times.push((user + system) / 1000);
    for (const { giver, taker } of decisions) {
      for (const side of [giver, taker])
        if (side !== undefined) observations[Number(side.kernel.slice(1))]!.cpus = side.after;
    }
  }
  return median(times.slice(ROUNDS / 2));
}

/** 99 services, each at its own hour of the day, and a batch kernel. */
function manyTenants(count: number, seconds: number): Case {
  const cpus = 4 * count;
  const base = generate('diurnal', 1, { services: count - 1, cpus, seconds: 1 });
  const load = base.tenants.map(({ kind, serviceMs }, which) =>
    kind === 'batch'
      ? new Float32Array(0)
      : Float32Array.from(
          { length: seconds },
          (_, second) => (2 * (1.1 - Math.cos((2 * Math.PI * second) / DAY + which)) * 1000) / serviceMs,
        ),
  );
  return { ...base, load, seconds, step: 1 };
}
