import { describe, expect, it } from 'vitest';
import { Calibration } from './calibration.ts';
import { Demand } from './demand.ts';
import { HighestOf } from './highest.ts';
import { Jumps } from './jumps.ts';
import { lateByWaiting, waitProbability } from './queue.ts';
import { random } from './random.ts';

const STEP = 0.25;

/** Requests of a step, by chance, around a rate. */
function poisson(rate: number, chance: () => number, step = STEP): number {
  let count = -1;
  for (let product = 1; product > Math.exp(-rate * step); count++) product *= 1 - chance();
  return count / step;
}

describe('Demand', () => {
  const told = (rate: (time: number) => number, until: number) => {
    const chance = random(3);
    const demand = new Demand(1.5, 0.98, 120, 5);
    const seen: number[] = [];
    for (let time = 0; time < until; time += STEP) {
      demand.learn(poisson(rate(time), chance), STEP);
      seen.push(demand.foreseen + demand.headroom);
    }
    return seen;
  };

  it('is not impressed by chance', () => {
    const seen = told(() => 80, 200).slice(80);
    expect(Math.max(...seen)).toBeLessThan(80 * 1.6);
    expect(seen.reduce((a, b) => a + b, 0) / seen.length).toBeLessThan(80 * 1.15);
  });

  it('takes a change at once', () => {
    const seen = told((time) => (time < 100 ? 80 : 240), 101);
    // Two steps after it.
    expect(seen[401]).toBeGreaterThan(200);
  });

  it('takes a fall at once too, and says so; of a steady demand it says none', () => {
    const chance = random(3);
    const demand = new Demand(1.5, 0.98, 120, 5);
    const fell: number[] = [];
    for (let time = 0; time < 200; time += STEP) {
      demand.learn(poisson(time < 100 ? 240 : 80, chance), STEP);
      if (demand.fell) fell.push(time);
      if (time === 100.5) expect(demand.foreseen).toBeLessThan(110);
    }
    // By chance now and then, as a sum that has a bound does.
    expect(fell.filter((time) => time >= 100 && time < 101).length).toBeGreaterThan(0);
    expect(fell.length).toBeLessThan(8);
  });

  it('keeps free where demand jumps to time and again, whatever the windows, and nothing for one jump in many spans or for chance', () => {
    const kept = (step: number, every: number, high: number) => {
      const chance = random(3);
      const demand = new Demand(1.5, 0.9, 120, 5);
      let least = Number.POSITIVE_INFINITY;
      for (let time = 0; time < 300; time += step) {
        const rate = time % every >= every - 6 ? high : 60;
        demand.learn(poisson(rate, chance, step), step);
        if (time > 200 && rate === 60 && time % every > 5) least = Math.min(least, demand.foreseen + demand.headroom);
      }
      return least;
    };
    for (const step of [0.25, 1]) {
      expect(kept(step, 30, 240)).toBeGreaterThan(150);
      expect(kept(step, 200, 240)).toBeLessThan(90);
      expect(kept(step, 30, 60)).toBeLessThan(90);
    }
  });

  it('foresees a ramp', () => {
    const demand = new Demand(1.5, 0.98, 120, 5);
    for (let time = 0; time < 60; time += STEP) demand.learn(100 + 10 * time, STEP);
    expect(demand.foreseen).toBeGreaterThan(100 + 10 * 60);
    expect(demand.foreseen).toBeLessThan(100 + 10 * 64);
  });
});

it('forgets jumps by halves', () => {
  const jumps = new Jumps(100);
  for (let each = 0; each < 10; each++) jumps.add(200, 1);
  for (let each = 0; each < 90; each++) jumps.add(0, 1);
  expect(jumps.quantile(0.98)).toBeGreaterThanOrEqual(200);
  expect(jumps.quantile(0.98)).toBeLessThan(230);
  for (let each = 0; each < 400; each++) jumps.add(0, 1);
  expect(jumps.quantile(0.98)).toBe(0);
});

it('keeps the highest of a span', () => {
  const highest = new HighestOf(3);
  expect([5, 1, 2, 1, 0, 0].map((value, at) => highest.add(at, value))).toEqual([5, 5, 5, 2, 2, 1]);
  highest.reset();
  expect(highest.add(6, 0)).toBe(0);
});

describe('Calibration', () => {
  const learned = (late: number, foretold: number, chance = 0.5) => {
    const calibration = new Calibration();
    for (let second = 0; second < 300; second++) calibration.learn(100, late, foretold, chance, 1);
    return calibration.factor;
  };
  it('makes a load heavier when more is late than foretold, lighter when less is', () => {
    expect(learned(0.03, 0.005)).toBeGreaterThan(1.5);
    expect(learned(0, 0.005)).toBeLessThan(1);
    expect(learned(0.01, 0.009)).toBe(1);
  });
  it('leaves out what is late when nobody waits', () => {
    expect(learned(0.03, 0.0001, 0.01)).toBe(1);
  });
  it('does not try again what proved too light at such a load', () => {
    const calibration = new Calibration();
    for (let second = 0; second < 300; second++) calibration.learn(100, 0.03, 0.005, 0.5, 1);
    const { factor } = calibration;
    for (let second = 0; second < 300; second++) calibration.learn(100, 0, 0.005, 0.5, 1);
    expect(calibration.factor).toBe(factor);
    for (let second = 0; second < 300; second++) calibration.learn(300, 0, 0.005, 0.5, 1);
    expect(calibration.factor).toBeLessThan(factor);
  });
});

describe("Erlang's C", () => {
  it.each([
    [1, 0.5, 0.5],
    [2, 0.5, 1 / 3],
    [4, 0.75, 0.5094],
    [8, 0.9, 0.7025],
  ])('%d CPUs at %d', (cpus, use, expected) => {
    expect(waitProbability(cpus, use)).toBeCloseTo(expected, 2);
  });
  it('gives the tail of one queue exactly, without who takes so long by himself, and no chance to one that cannot keep up', () => {
    // Time in all is exponential, at 50 a second; that of service alone at 100.
    expect(lateByWaiting(50, 0.01, 1, 0.02)).toBeCloseTo(Math.exp(-1) - Math.exp(-2), 6);
    // Half a CPU takes twice as long, which a whole one would not.
    expect(lateByWaiting(25, 0.01, 0.5, 0.04)).toBeCloseTo(Math.exp(-1) - Math.exp(-4), 6);
    // Where those who wait do so as long as they are served, the two times are one of two steps.
    expect(lateByWaiting(100, 0.01, 2, 0.02)).toBeCloseTo((1 / 3) * 2 * Math.exp(-2), 3);
    expect(lateByWaiting(50, 0.01, 0.5, 1)).toBe(1);
  });
});
