/**
 * Autothrottle's Tower in its table variant: once a minute it picks the targets of the Captains, one for each of two groups of
 * services. An arm is a pair of targets. The cost of a minute is below 1 where the promise was kept (the CPUs it took, scaled),
 * and 2 to 3 where not (the latency, scaled); the arm with the lowest median cost at the present rate is taken. Source: as captain.ts.
 * Where the original trains a small network on these medians, cells without a sample take the cost of the nearest tried arm.
 */
import { random } from './random.ts';

export const TARGETS: readonly number[] = [0, 0.02, 0.04, 0.06, 0.1, 0.15, 0.2, 0.25, 0.3];

/** Indices into TARGETS: of the group that uses less, of the one that uses more. */
export type Arm = readonly [number, number];

export interface Minute {
  /** Requests per second. */
  rate: number;
  arm: Arm;
  /** Latency against the promise: 1 = just kept. The worst of the services. */
  latency: number;
  /** Mean CPUs of all services. */
  cpus: number;
}

export class Tower {
  readonly #minutes: Minute[] = [];
  readonly #binWidth: number;
  readonly #explore: number;
  readonly #random: () => number;

  /** Rates are told apart by `binWidth` requests per second; with probability `explore` a neighbour of the best arm is tried. */
  constructor(binWidth: number, explore: number) {
    this.#binWidth = binWidth;
    this.#explore = explore;
    this.#random = random(1);
  }

  learn(minute: Minute): void {
    this.#minutes.push(minute);
  }

  /** The arm for a rate, or `start` as long as nothing is known. */
  choose(rate: number, start: Arm): Arm {
    const best = this.#minutes.length === 0 ? start : this.#best(rate);
    if (this.#random() >= this.#explore) return best;
    const near = neighbours(best);
    return near[Math.floor(this.#random() * near.length)]!;
  }

  #best(rate: number): Arm {
    const costs = this.#costs();
    const bin = Math.round(rate / this.#binWidth);
    // What is known of the nearest rates, ordered as the rates are near; of the same rate, the cheapest arm.
    const bins = [...new Set(this.#minutes.map((each) => Math.round(each.rate / this.#binWidth)))];
    const nearest = bins.reduce((a, b) => (Math.abs(b - bin) < Math.abs(a - bin) ? b : a));
    const byArm = new Map<string, { arm: Arm; costs: number[] }>();
    for (const [index, minute] of this.#minutes.entries()) {
      if (Math.round(minute.rate / this.#binWidth) !== nearest) continue;
      const key = minute.arm.join();
      const found = byArm.get(key) ?? { arm: minute.arm, costs: [] };
      found.costs.push(costs[index]!);
      byArm.set(key, found);
    }
    const known = [...byArm.values()].map(({ arm, costs: seen }) => ({ arm, cost: median(seen) }));
    return known.reduce((a, b) => (b.cost < a.cost ? b : a)).arm;
  }

  #costs(): number[] {
    const kept = range(this.#minutes.filter(({ latency }) => latency <= 1).map(({ cpus }) => cpus));
    const missed = range(this.#minutes.filter(({ latency }) => latency > 1).map(({ latency }) => latency));
    return this.#minutes.map(({ latency, cpus }) => (latency <= 1 ? kept(cpus) : 2 + missed(latency)));
  }
}

/** Arms one step away in one of the targets. */
export function neighbours([low, high]: Arm): Arm[] {
  const near: Arm[] = [
    [low - 1, high],
    [low + 1, high],
    [low, high - 1],
    [low, high + 1],
  ];
  return near.filter((arm) => arm.every((index) => index >= 0 && index < TARGETS.length));
}

/** Scales to 0…1; to 0.5 where all are the same. */
function range(values: readonly number[]): (value: number) => number {
  const least = values.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
  const most = values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  return (value) => (most > least ? (value - least) / (most - least) : 0.5);
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Which of two groups each belongs to, as one-dimensional k-means would have it: the split with the least variance within. */
export function twoGroups(usages: readonly number[]): (0 | 1)[] {
  const sorted = usages.toSorted((a, b) => a - b);
  const spread = (values: readonly number[]): number => {
    const mean = values.reduce((a, b) => a + b, 0) / values.length;
    return values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  };
  let best = Number.POSITIVE_INFINITY;
  let border = Number.POSITIVE_INFINITY;
  for (let cut = 1; cut < sorted.length; cut++) {
    const within = spread(sorted.slice(0, cut)) + spread(sorted.slice(cut));
    if (within < best && sorted[cut]! > sorted[cut - 1]!) {
      best = within;
      border = sorted[cut]!;
    }
  }
  return usages.map((usage) => (usage >= border ? 1 : 0));
}
