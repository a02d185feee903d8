/**
 * PARTIES (ASPLOS'19, https://doi.org/10.1145/3297858.3304005), as far as one resource goes: trial and error by latency slack.
 *
 * slack = (promise − p99) / promise. The service with the least slack gets one piece while its slack is below `poor`; while all are
 * above `rich`, the richest gives one to the batch kernels, and takes it back when that made it poor; it is then left alone for
 * `patience` seconds. CPUs for the poor come from batch kernels first, then from the richest service. Ours: of the poor who has the
 * highest priority is first, and where none is rich one of a lower priority gives.
 *
 * The law's shape is the paper's. Its numbers are assumptions here: so is the interval of half a second.
 */
import type { Controller, Policy, Reason, Window, Wish } from '../types.ts';
import { allot, boundsNow, pieces } from './allot.ts';
import { Roster } from './roster.ts';

const DEFAULTS = { interval: 0.5, poor: 0.05, rich: 0.2, patience: 30 };

interface State {
  /** It gave a piece in the last step, which is on trial. */
  gave: boolean;
  leaveAloneUntil: number;
}

class Parties implements Controller {
  readonly #parameters: typeof DEFAULTS;
  readonly #roster = new Roster<State>(() => ({ gave: false, leaveAloneUntil: 0 }));
  #due = 0;
  constructor(parameters: typeof DEFAULTS) {
    this.#parameters = parameters;
  }

  decide(window: Window): readonly Wish[] {
    if (window.at < this.#due) return [];
    const { interval, poor, rich, patience } = this.#parameters;
    this.#due = window.at + interval - 1e-9;
    const states = this.#roster.of(window.kernels);
    const slacks = window.kernels.map((_, index) => slackOf(window, index));
    const services = window.kernels.flatMap(({ kind }, index) =>
      kind === 'service' && window.observations[index]!.known ? [index] : [],
    );
    if (services.length === 0) return [];
    const bySlack = services.toSorted((a, b) => slacks[a]! - slacks[b]!);
    const wants = Float64Array.from(window.observations, ({ cpus }) => cpus);
    const reasons = new Map<number, Reason>();
    const step = (index: number, by: number, reason: Reason): void => {
      wants[index]! += by * window.grain;
      reasons.set(index, reason);
    };
    const onTrial = services.find((index) => states[index]!.gave);
    if (onTrial !== undefined) states[onTrial]!.gave = false;
    const room = (index: number, up: boolean): boolean => {
      const [least, most] = boundsNow(window, index);
      const now = pieces(window.observations[index]!.cpus, window.grain);
      return up ? now < most : now > least;
    };
    const rank = (index: number): number => window.kernels[index]!.priority;
    // The sort is stable: of one priority the one with the least slack.
    const worst = bySlack
      .toSorted((a, b) => rank(b) - rank(a))
      .find((index) => slacks[index]! < poor && room(index, true));
    if (onTrial !== undefined && slacks[onTrial]! < poor) {
      step(onTrial, 1, { rule: 'revert', slack: slacks[onTrial]! });
      states[onTrial]!.leaveAloneUntil = window.at + patience;
    } else if (worst !== undefined) {
      step(worst, 1, { rule: 'slack', slack: slacks[worst]!, bound: poor });
      const canGive = (index: number) => index !== worst && room(index, false);
      const donor =
        bySlack.findLast((index) => canGive(index) && slacks[index]! > rich) ??
        bySlack.findLast((index) => canGive(index) && rank(index) < rank(worst));
      if (donor !== undefined && !batchCanGive(window))
        step(donor, -1, { rule: 'slack', slack: slacks[donor]!, bound: rich });
    } else if (services.every((index) => slacks[index]! > rich)) {
      const richest = bySlack.findLast((index) => room(index, false) && states[index]!.leaveAloneUntil <= window.at);
      if (richest !== undefined) {
        step(richest, -1, { rule: 'slack', slack: slacks[richest]!, bound: rich });
        states[richest]!.gave = true;
      }
    }
    return allot(window, wants, (index) => reasons.get(index) ?? { rule: 'slack', slack: slacks[index]!, bound: poor });
  }
}

function slackOf(window: Window, index: number): number {
  const { promiseMs } = window.kernels[index]!;
  const { p99Ms } = window.observations[index]!;
  return promiseMs === null || p99Ms === null ? 1 : (promiseMs - p99Ms) / promiseMs;
}

function batchCanGive(window: Window): boolean {
  return window.kernels.some(({ kind }, index) => {
    const [least] = boundsNow(window, index);
    return kind === 'batch' && pieces(window.observations[index]!.cpus, window.grain) > least;
  });
}

export const parties: Policy = {
  name: 'parties',
  summary: 'one piece at a time by latency slack, taken back when it hurt',
  interval: 0.5,
  defaults: DEFAULTS,
  grid: { poor: [0.05, 0.2, 0.4], rich: [0.2, 0.5, 0.7], interval: [0.5, 2] },
  begin: (parameters) => new Parties({ ...DEFAULTS, ...parameters }),
};
