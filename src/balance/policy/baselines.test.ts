/** The baselines' own worked examples. */
import { describe, expect, it } from 'vitest';
import { window } from '../testing.ts';
import { Captain } from './captain.ts';
import { maxMin } from './karma.ts';
import { suppress } from './koordinator.ts';
import { parties } from './parties.ts';
import { quantum } from './quantum.ts';
import { staticPolicy } from './static.ts';
import { threshold, thresholdFast } from './threshold.ts';
import { neighbours, TARGETS, Tower, twoGroups } from './tower.ts';

describe('Captain', () => {
  const second = (captain: Captain, throttled: number) => {
    for (let sample = 0; sample < 10; sample++) captain.sample(sample < throttled ? 1 : 0, 2);
    captain.second();
    return Number(captain.limit.toFixed(3));
  };

  it('comes down to a constant usage, grows when throttled, and comes down again', () => {
    const captain = new Captain(0.1, 8);
    const quiet = [1, 2, 3, 4, 5].map(() => second(captain, 0));
    expect(quiet).toEqual([4.344, 4.344, 4.344, 4.344, 2.172]);
    expect(captain.margin).toBeCloseTo(2.5);
    for (let each = 6; each <= 8; each++) second(captain, 0);
    expect(second(captain, 5)).toBe(2.606);
    expect(captain.margin).toBeCloseTo(2.6);
    expect(second(captain, 0)).toBe(2);
  });

  it('undoes a cut that hurts with interest, before the second is over', () => {
    const captain = new Captain(0.1, 8);
    for (let each = 0; each < 4; each++) second(captain, 0);
    second(captain, 0);
    expect(captain.limit).toBeCloseTo(2.172, 3);
    const margin = captain.margin;
    for (let sample = 0; sample < 4; sample++) captain.sample(1, 2);
    expect(captain.limit).toBeCloseTo(2 * 4.344 - 2.172, 2);
    expect(captain.margin).toBeCloseTo(margin + 0.4 - 0.1);
  });
});

describe('Tower', () => {
  const minute = (rate: number, low: number, latency: number, cpus: number) =>
    ({ rate, arm: [low, 4], latency, cpus }) as const;

  it('prefers any hit to any miss, then the cheaper one, at the rate that is nearest', () => {
    const tower = new Tower(20, 0);
    for (const each of [minute(100, 2, 0.9, 6), minute(100, 5, 0.8, 4), minute(100, 8, 1.2, 3), minute(200, 1, 0.9, 8)])
      tower.learn(each);
    expect(tower.choose(105, [0, 0])).toEqual([5, 4]);
    expect(tower.choose(400, [0, 0])).toEqual([1, 4]);
  });

  it('takes the median of what an arm cost', () => {
    const tower = new Tower(20, 0);
    for (const latency of [0.9, 0.9, 3]) tower.learn(minute(100, 2, latency, 4));
    for (const latency of [0.9, 0.9, 0.9]) tower.learn(minute(100, 3, latency, 5));
    expect(tower.choose(100, [0, 0])).toEqual([2, 4]);
  });

  it('has nine targets, at most four neighbours, and splits usages where they differ most', () => {
    expect(TARGETS).toHaveLength(9);
    expect(neighbours([0, 8])).toEqual([
      [1, 8],
      [0, 7],
    ]);
    expect(neighbours([4, 4])).toHaveLength(4);
    expect(twoGroups([0.5, 4, 0.6, 3.5])).toEqual([0, 1, 0, 1]);
    expect(twoGroups([1])).toEqual([0]);
  });
});

describe('Karma', () => {
  it('lends, borrows and levels as in the worked example', () => {
    const share = (credits: number[], demand: number[]) => {
      const { allocation, credits: after } = quantum({ common: 4, fair: [2, 2, 2, 2], credits, demand });
      return [[...allocation], [...after]];
    };
    expect(share([4, 10, 7, 7], [6, 0, 1, 5])).toEqual([
      [6, 0, 1, 5],
      [1, 13, 9, 5],
    ]);
    expect(share([1, 13, 9, 5], [8, 8, 0, 1])).toEqual([
      [3, 8, 0, 1],
      [1, 8, 12, 7],
    ]);
    expect(share([1, 8, 12, 7], [8, 8, 8, 8])).toEqual([
      [2, 2, 6, 2],
      [2, 9, 9, 8],
    ]);
  });

  it('is max-min fairness without own shares and with equal credits', () => {
    const { allocation } = quantum({ common: 10, fair: [0, 0, 0], credits: [10, 10, 10], demand: [2, 3, 9] });
    expect([...allocation]).toEqual([2, 3, 5]);
    const wishes = maxMin.begin({ headroom: 1 }).decide(
      window({ cpus: 12, kernels: [{ kind: 'service' }, { kind: 'service' }, { kind: 'batch' }] }, [
        { cpus: 4, busy: 2 },
        { cpus: 4, busy: 3, waiting: 6 },
        { cpus: 4, busy: 4 },
      ]),
    );
    expect(wishes.map(({ index, cpus }) => [index, cpus])).toEqual([
      [0, 2],
      [1, 5],
      [2, 5],
    ]);
  });
});

describe("Koordinator's suppression", () => {
  it.each([
    ['leaves what 65 % has beyond the use of others', 100, 30, 35, 35],
    ['rounds up', 100, 30.5, 35, 35],
    ['shrinks at once', 100, 60, 35, 5],
    ['grows by a tenth of the machine', 100, 30, 5, 15],
    ['keeps two', 100, 90, 10, 2],
  ])('%s', (_, capacity, busy, now, expected) => {
    expect(suppress(capacity, busy, now)).toBe(expected);
  });
});

describe('the Kubernetes autoscaler', () => {
  const pool = { cpus: 20, kernels: [{ kind: 'service' as const, max: 20 }] };
  const wishes = (busy: number, cpus = 4) =>
    threshold.begin({ target: 0.5 }).decide(window({ ...pool }, [{ cpus, busy }]));

  it.each([
    ['doubles at twice the target', 4, 8],
    ['halves at half of it', 1, 2],
    ['rounds up', 2.6, 6],
  ])('%s', (_, busy, cpus) => {
    expect(wishes(busy)[0]?.cpus).toBe(cpus);
  });

  it('leaves alone what is within a tenth of the target', () => {
    expect(wishes(2.15)).toEqual([]);
  });

  it('shrinks to the highest wish of its window only', () => {
    const controller = thresholdFast.begin({ target: 0.5 });
    const at = (time: number, busy: number) => controller.decide(window({ ...pool, at: time }, [{ cpus: 8, busy }]));
    expect(at(1, 4)).toEqual([]);
    for (let time = 2; time <= 20; time++) expect(at(time, 1)).toEqual([]);
    expect(at(21, 1)[0]).toMatchObject({ cpus: 2, reason: { rule: 'utilisation', highest: 2 } });
  });
});

describe('PARTIES', () => {
  const kernels = [
    { kind: 'service' as const, promiseMs: 100 },
    { kind: 'service' as const, promiseMs: 100 },
    { kind: 'batch' as const },
  ];
  const at = (time: number, p99s: number[], cpus = [4, 4, 4]) =>
    window(
      { cpus: 12, kernels, at: time },
      cpus.map((each, index) => ({ cpus: each, p99Ms: p99s[index] ?? null })),
    );
  const sizes = (wishes: readonly { index: number; cpus: number }[]) => wishes.map(({ index, cpus }) => [index, cpus]);

  it('gives one piece to the service with the least slack, from the batch kernels', () => {
    expect(sizes(parties.begin().decide(at(1, [120, 98])))).toEqual([
      [0, 5],
      [2, 3],
    ]);
  });

  it('takes one from the richest, and gives it back when that hurt', () => {
    const controller = parties.begin();
    expect(sizes(controller.decide(at(1, [50, 20])))).toEqual([
      [1, 3],
      [2, 5],
    ]);
    const back = controller.decide(at(2, [50, 99], [4, 3, 5]));
    expect(sizes(back)).toEqual([
      [1, 4],
      [2, 4],
    ]);
    expect(back[0]!.reason.rule).toBe('revert');
    expect(sizes(controller.decide(at(3, [50, 20])))).toEqual([
      [0, 3],
      [2, 5],
    ]);
  });
});

it('splits evenly within bounds', () => {
  const kernels = [{ min: 1, max: 2 }, { min: 1 }, { min: 6 }];
  const wishes = staticPolicy.begin().decide(window({ cpus: 12, kernels }, [{ cpus: 4 }, { cpus: 4 }, { cpus: 4 }]));
  expect(wishes.map(({ cpus }) => cpus)).toEqual([2, 6]);
});
