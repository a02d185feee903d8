/**
 * Karma over kernels, and max-min fairness as its case without own shares and with equal credits. Demand is busy CPUs plus waiting
 * tasks, times `headroom`; that of a batch kernel is all it can have. Floors come first; who has no credits left still gets free units,
 * without paying, and is the first to give them back.
 */
import type { Controller, Policy, Window, Wish } from '../types.ts';
import { boundsNow, pieces, wishes } from './allot.ts';
import { quantum } from './quantum.ts';
import { levelByRank, prioritiesOf } from './ranks.ts';
import { Roster } from './roster.ts';

/** `common`: part of the units that is nobody's own; `credits`: what the first one begins with. */
const DEFAULTS = { common: 0.5, credits: 1000, headroom: 1.3, every: 1 };

class Karma implements Controller {
  readonly #parameters: typeof DEFAULTS;
  readonly #maxMin: boolean;
  readonly #roster: Roster<{ credits: number }>;
  #due = 0;
  constructor(parameters: typeof DEFAULTS, maxMin: boolean) {
    this.#parameters = parameters;
    this.#maxMin = maxMin;
    this.#roster = new Roster((_, others) => ({
      credits:
        others.length === 0
          ? parameters.credits
          : Math.floor(others.reduce((sum, { credits }) => sum + credits, 0) / others.length),
    }));
  }

  decide(window: Window): readonly Wish[] {
    if (window.at < this.#due) return [];
    this.#due = window.at + this.#parameters.every - 1e-9;
    const { kernels, observations, grain } = window;
    const count = kernels.length;
    const states = this.#roster.of(kernels);
    const floors = new Float64Array(count);
    const demand = new Float64Array(count);
    let left = Math.floor(window.cpus / grain + 1e-9);
    for (let index = 0; index < count; index++) {
      const [least, most] = boundsNow(window, index);
      const { busy, waiting } = observations[index]!;
      const asked =
        kernels[index]!.kind === 'batch' ? most : pieces((busy + waiting) * this.#parameters.headroom, grain);
      floors[index] = least;
      demand[index] = Math.max(0, Math.min(most, asked) - least);
      left -= least;
    }
    left = Math.max(0, left);
    const own = this.#maxMin ? 0 : Math.floor((left * (1 - this.#parameters.common)) / count);
    const fair = new Float64Array(count).fill(own);
    const credits = Float64Array.from(states, (state) => (this.#maxMin ? left : state.credits));
    const priorities = prioritiesOf(kernels);
    const shared = quantum({ common: left - own * count, fair, credits, demand, priorities });
    const unmet = demand.map((wanted, index) => wanted - shared.allocation[index]!);
    const free = levelByRank(priorities, new Float64Array(count), unmet, shared.unused);
    const sizes = floors;
    for (let index = 0; index < count; index++) {
      sizes[index]! += shared.allocation[index]! + free[index]!;
      if (!this.#maxMin) states[index]!.credits = shared.credits[index]!;
    }
    return wishes(window, sizes, (index) =>
      this.#maxMin
        ? { rule: 'max-min', demand: demand[index]! * grain }
        : {
            rule: 'credits',
            demand: demand[index]! * grain,
            fair: own * grain,
            credits: states[index]!.credits,
          },
    );
  }
}

const GRID = { headroom: [1, 1.3, 1.6, 2, 3], every: [1, 5] };

export const karma: Policy = {
  name: 'karma',
  summary: 'who lends CPUs now may borrow later',
  interval: 1,
  defaults: DEFAULTS,
  grid: { ...GRID, common: [0.25, 0.5] },
  begin: (parameters) => new Karma({ ...DEFAULTS, ...parameters }, false),
};

export const maxMin: Policy = {
  name: 'max-min',
  summary: 'the smallest demands first, the rest evenly',
  interval: 1,
  defaults: DEFAULTS,
  grid: GRID,
  begin: (parameters) => new Karma({ ...DEFAULTS, ...parameters }, true),
};
