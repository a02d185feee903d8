/**
 * Autothrottle (NSDI'24): a Captain per service, and a Tower over them. For whole CPUs a sample is throttled when tasks wait while
 * all CPUs are busy, a limit is rounded up, and what a service gives up goes to the batch kernels, from which a roll-back gets it back.
 */
import type { Controller, Policy, Reason, Window, Wish } from '../types.ts';
import { allot } from './allot.ts';
import { Captain } from './captain.ts';
import { Roster } from './roster.ts';
import { type Arm, TARGETS, Tower, twoGroups } from './tower.ts';

/** `low`, `high`: targets of the two groups at first, indices into TARGETS. `tower`: seconds between choices, 0 = never. */
const DEFAULTS = { low: 4, high: 4, tower: 60, explore: 0.1, bin: 20 };
const SAMPLES_PER_SECOND = 10;

interface State {
  captain: Captain;
  share: number;
  usage: number;
}

class Autothrottle implements Controller {
  readonly #parameters: typeof DEFAULTS;
  readonly #tower: Tower;
  readonly #roster: Roster<State>;
  #arm: Arm;
  #minute = { from: 0, seconds: 0, arrived: 0, cpus: 0, latencies: [] as number[] };

  constructor(parameters: typeof DEFAULTS) {
    this.#parameters = parameters;
    this.#arm = [parameters.low, parameters.high];
    this.#tower = new Tower(parameters.bin, parameters.explore);
    this.#roster = new Roster(() => ({
      captain: new Captain(TARGETS[this.#arm[1]]!, Number.NaN),
      share: 0,
      usage: 0,
    }));
  }

  decide(window: Window): readonly Wish[] {
    const { kernels, observations, seconds } = window;
    const states = this.#roster.of(kernels);
    const wants = new Float64Array(kernels.length);
    for (let index = 0; index < wants.length; index++) {
      const seen = observations[index]!;
      const state = states[index]!;
      const { captain } = state;
      wants[index] = seen.cpus;
      if (kernels[index]!.kind !== 'service' || !seen.known) continue;
      if (Number.isNaN(captain.limit)) {
        states[index]!.captain = new Captain(captain.target, seen.cpus);
        continue;
      }
      for (let second = 0; second < Math.max(1, Math.round(seconds)); second++) {
        feed(captain, seen);
        state.share = captain.second();
      }
      // A limit beyond what can be given would take as long to come down again.
      captain.limit = Math.min(captain.limit, kernels[index]!.max);
      state.usage = 0.9 * state.usage + 0.1 * seen.busy;
      wants[index] = captain.limit;
    }
    this.#watch(window);
    if (this.#parameters.tower > 0 && window.at - this.#minute.from >= this.#parameters.tower)
      this.#choose(window, states);
    return allot(window, wants, (index) => reason(states[index]!));
  }

  #watch({ kernels, observations, seconds }: Window): void {
    const minute = this.#minute;
    let worst = 0;
    for (let index = 0; index < kernels.length; index++) {
      const { kind, promiseMs } = kernels[index]!;
      const { arrivals, cpus, p99Ms } = observations[index]!;
      if (kind !== 'service') continue;
      minute.arrived += arrivals * seconds;
      minute.cpus += cpus * seconds;
      if (promiseMs !== null && p99Ms !== null) worst = Math.max(worst, p99Ms / promiseMs);
    }
    minute.seconds += seconds;
    minute.latencies.push(worst);
  }

  #choose(window: Window, states: readonly State[]): void {
    const { seconds, arrived, cpus, latencies } = this.#minute;
    const rate = arrived / seconds;
    const latency = latencies.toSorted((a, b) => a - b).at(Math.floor(0.99 * (latencies.length - 1)))!;
    this.#tower.learn({ rate, arm: this.#arm, latency, cpus: cpus / seconds });
    this.#arm = this.#tower.choose(rate, this.#arm);
    const groups = twoGroups(states.map(({ usage }) => usage));
    for (const [index, state] of states.entries()) state.captain.target = TARGETS[this.#arm[groups[index]!]]!;
    this.#minute = { from: window.at, seconds: 0, arrived: 0, cpus: 0, latencies: [] };
  }
}

/** The samples of a second, of which an observation keeps the mean, the peak, the deviation and the share that were throttled. */
function feed(captain: Captain, { busy, busyPeak, busyDeviation, throttled }: Window['observations'][number]): void {
  let owed = 0;
  for (let sample = 0; sample < SAMPLES_PER_SECOND; sample++) {
    owed += throttled;
    const hit = owed >= 0.5 ? 1 : 0;
    owed -= hit;
    captain.sample(hit, sample === 0 ? busyPeak : Math.max(0, busy + (sample % 2 === 0 ? 1 : -1) * busyDeviation));
  }
}

function reason({ captain, share }: State): Reason {
  if (share > 3 * captain.target) return { rule: 'throttled', share, target: captain.target };
  const { peak, deviation } = captain.usage;
  return { rule: 'margin', peak, margin: captain.margin, deviation };
}

export const autothrottle: Policy = {
  name: 'autothrottle',
  summary: 'a share of throttled samples held for each service, chosen by what it costs',
  interval: 1,
  defaults: DEFAULTS,
  grid: { low: [1, 4, 6, 8], high: [1, 4, 6, 8], tower: [0, 60] },
  begin: (parameters) => new Autothrottle({ ...DEFAULTS, ...parameters }),
};
