import { expect, test } from 'vitest';
import { interleave, type Limits } from '../../bench/compare/interleave.ts';
import { type Block, FEWEST_BLOCKS, logRatio, ratioOf, widthPoints } from '../../bench/compare/ratio.ts';

/** Uniform in [0, 1), the same each time. */
function source(seed: number): () => number {
  let state = seed | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

/** A run of about `base` ms on a machine where one run in ten meets a busy moment and takes up to five times as long. */
const noisy = (random: () => number, base: number) =>
  base * (1 + 0.1 * random()) * (random() < 0.1 ? 1 + 4 * random() : 1);

const blocks = (count: number, a: () => number, b: () => number): Block[] =>
  Array.from({ length: count }, () => [a(), b(), b(), a()] as const);

const LIMITS: Limits = { maxRuns: 1000, seconds: 1000, now: () => 0 };

test('the ratio is B over A, and a steady drift of the machine adds nothing', () => {
  expect(logRatio([100, 200, 200, 100])).toBeCloseTo(Math.log(2), 12);
  const drift = Array.from({ length: 4 }, (_, index) => 100 * 1.1 ** index);
  expect(logRatio(drift as unknown as Block)).toBeCloseTo(0, 12);
  expect(ratioOf(Array.from({ length: 10 }, () => [10, 12, 12, 10] as const))).toEqual({
    ratio: expect.closeTo(1.2, 12),
    low: expect.closeTo(1.2, 12),
    high: expect.closeTo(1.2, 12),
  });
});

test('too few blocks have no interval, and a run without a logarithm is refused', () => {
  const same = [1, 1, 1, 1] as const;
  expect(ratioOf(Array.from({ length: FEWEST_BLOCKS - 1 }, () => same))).toBeUndefined();
  expect(ratioOf(Array.from({ length: FEWEST_BLOCKS }, () => same))).toBeDefined();
  for (const bad of [0, -1, Number.NaN, Number.POSITIVE_INFINITY])
    expect(() => logRatio([1, bad, 1, 1])).toThrow(RangeError);
});

test('the rank that bounds the interval is that of the tables, or one wider', () => {
  // n = 10, critical value 8: of the 55 Walsh averages the 9th smallest and largest; the normal approximation gives the 8th.
  const shifts = Array.from({ length: 10 }, (_, index) => 2 ** (2 ** index / 100));
  const walsh = shifts
    .flatMap((x, i) => shifts.slice(i).map((y) => (Math.log(x) + Math.log(y)) / 2))
    .sort((x, y) => x - y);
  const { low, high } = ratioOf(shifts.map((shift) => [1, shift, shift, 1] as const))!;
  expect(Math.log(low)).toBeCloseTo(walsh[7]!, 9);
  expect(Math.log(high)).toBeCloseTo(walsh[47]!, 9);
});

test('nineteen intervals of twenty hold the truth, on a machine with wild moments', () => {
  const random = source(20261127);
  const truth = 1.03;
  let held = 0;
  for (let round = 0; round < 400; round++) {
    const { low, high } = ratioOf(
      blocks(
        20,
        () => noisy(random, 100),
        () => noisy(random, 100 * truth),
      ),
    )!;
    if (low <= truth && truth <= high) held += 1;
  }
  expect(held / 400).toBeGreaterThan(0.92);
  expect(held / 400).toBeLessThanOrEqual(0.99);
});

test('subjects run in the order A B B A after a run of each, until the interval is narrow', async () => {
  const order: string[] = [];
  const random = source(7);
  const trial = {
    name: 't',
    take: async (subject: string) => {
      order.push(subject);
      return { time: noisy(random, subject === 'a' ? 100 : 120) };
    },
  };
  const {
    figures: [figure],
  } = await interleave([trial], 'a', 'b', LIMITS);
  expect(order.slice(0, 10).join('')).toBe('ababbaabba');
  expect(order.filter((subject) => subject === 'a')).toHaveLength(order.length / 2);
  expect(figure).toMatchObject({ name: 'time', settled: true, verdict: 'more', runs: order.length / 2 - 1 });
  expect(widthPoints({ ratio: figure!.ratio!, low: figure!.low!, high: figure!.high! })).toBeLessThan(5);
  expect(figure!.low!).toBeLessThan(1.2);
  expect(figure!.high!).toBeGreaterThan(1.2);
});

test('limits end it, and what is not settled then says so', async () => {
  const random = source(11);
  const wild = { name: 'w', take: async () => ({ time: 1 + 100 * random() }) };
  const {
    figures: [figure],
  } = await interleave([wild], 'a', 'b', { ...LIMITS, maxRuns: 21 });
  expect(figure).toMatchObject({ runs: 20, settled: false, verdict: 'open' });
  let clock = 0;
  const {
    figures: [early],
  } = await interleave([wild], 'a', 'b', { ...LIMITS, seconds: 3, now: () => 1000 * clock++ });
  expect(early).toMatchObject({ runs: 6, settled: false, verdict: 'open' });
});

test('a settled trial runs no more while another goes on; a figure that one run lacks is left out', async () => {
  const random = source(13);
  let calm = 0;
  let runs = 0;
  const trials = [
    {
      name: 'calm',
      take: async () => {
        calm += 1;
        return { calm: 5, never: 0 };
      },
    },
    {
      name: 'wild',
      take: async () => {
        runs += 1;
        return { wild: 1 + 10 * random(), ...(runs === 5 ? {} : { sometimes: 1 }) };
      },
    },
  ];
  const { figures } = await interleave(trials, 'a', 'b', { ...LIMITS, maxRuns: 40 });
  expect(calm).toBe(2 + 4 * FEWEST_BLOCKS);
  expect(figures.map(({ name, verdict }) => [name, verdict])).toEqual([
    ['calm', 'equal'],
    ['wild', 'open'],
  ]);
});

test.each(['a', 'b', 'both'] as const)('what fails on %s is not compared, and the rest is', async (on) => {
  const failing = {
    name: 'uml',
    take: async (subject: string) => {
      if (on === subject || on === 'both') throw new Error('it does not boot');
      return { time: 1 };
    },
  };
  const fine = { name: 'qemu', take: async () => ({ other: 1 }) };
  const { figures, skipped } = await interleave([failing, fine], 'a', 'b', LIMITS);
  expect(figures.map(({ name }) => name)).toEqual(['other']);
  expect(skipped).toEqual([{ name: 'uml', on, reason: 'it does not boot' }]);
});

test('what fails later fails the comparison', async () => {
  let runs = 0;
  const trial = {
    name: 't',
    take: async () => {
      runs += 1;
      if (runs > 5) throw new Error('it broke');
      return { time: 1 };
    },
  };
  await expect(interleave([trial], 'a', 'b', LIMITS)).rejects.toThrow('it broke');
});
