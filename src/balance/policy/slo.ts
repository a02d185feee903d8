/**
 * Ours: each service gets what a queueing model says its promise takes, for the demand that is foreseen.
 *
 * Grow at once by what is needed; give back one piece at a time after a quiet window; keep free what demand lately jumped by; charge
 * for moves; when all are short, higher priorities first, then entitlements and the rest by credits; floors always. A kernel that gains nothing by more gets
 * no more; one that contradicts what the host counts gets at most its entitlement. Batch kernels have all the rest.
 */
import type { Controller, Policy, Reason, Window, Wish } from '../types.ts';
import { boundsNow, pieces, wishes } from './allot.ts';
import { levelByRank, prioritiesOf } from './ranks.ts';
import { Roster } from './roster.ts';
import { ServiceState } from './service-state.ts';
import { divide } from './short.ts';
import { SLO_DEFAULTS, type SloParameters } from './slo-parameters.ts';
import { Spoilt } from './spoilt.ts';

/** Seconds of its entitlement that a service may have lent or borrowed at most; and of the steps in which credits rank. */
const MOST_CREDIT = 600;
const CREDIT_STEP = 60;

class Slo implements Controller {
  readonly #quiet: number;
  readonly #roster: Roster<ServiceState>;
  constructor(parameters: SloParameters) {
    this.#quiet = parameters.quiet;
    const spoilt = new Spoilt(parameters.spoilt);
    this.#roster = new Roster(() => new ServiceState(parameters, spoilt));
  }

  decide(window: Window): readonly Wish[] {
    const { kernels, observations, grain, at, seconds } = window;
    const count = kernels.length;
    const states = this.#roster.of(kernels);
    const floors = new Float64Array(count);
    const sizes = new Float64Array(count);
    const spare = new Float64Array(count);
    let left = Math.floor(window.cpus / grain + 1e-9);
    let wanted = 0;
    for (let index = 0; index < count; index++) {
      const seen = observations[index]!;
      const state = states[index]!;
      const [least, most] = boundsNow(window, index);
      floors[index] = least;
      if (kernels[index]!.kind === 'batch') {
        if (seen.known) state.usable.learn(at, true, seen.busyPeak, seen.cpus, grain);
        spare[index] = Math.max(0, Math.min(most, pieces(state.usable.most, grain)) - least);
        left -= least;
        sizes[index] = least;
        continue;
      }
      if (seen.known) state.learn(at, seconds, kernels[index]!, seen, grain);
      sizes[index] = Math.min(most, Math.max(least, this.#size(window, index, state)));
      wanted += sizes[index]!;
    }
    const isShort = wanted > left;
    if (isShort) this.#divide(window, states, floors, sizes, left);
    for (let index = 0; index < count; index++) if (kernels[index]!.kind === 'service') left -= sizes[index]!;
    const rest = levelByRank(prioritiesOf(kernels), new Float64Array(count), spare, Math.max(0, left));
    for (let index = 0; index < count; index++) {
      sizes[index]! += rest[index]!;
      if (kernels[index]!.kind === 'service') this.#account(window, index, states[index]!, sizes[index]!);
    }
    return wishes(window, sizes, (index) => this.#reason(window, index, states[index]!, isShort));
  }

  /** What a service should have, in pieces, were there enough. */
  #size({ kernels, observations, grain, at }: Window, index: number, state: ServiceState): number {
    const now = pieces(observations[index]!.cpus, grain);
    let need = Math.min(state.need, pieces(state.usable.most, grain));
    let recent = Math.min(state.recentNeed, pieces(state.usable.most, grain));
    if (state.distrusted) {
      const own = pieces(kernels[index]!.entitlement, grain);
      need = Math.min(need, own);
      recent = Math.min(recent, own);
      if (now > own) return own;
    }
    if (need > now) return need;
    return recent < now && at >= state.shrinkAt ? now - 1 : now;
  }

  #divide(
    { kernels, observations, grain }: Window,
    states: readonly ServiceState[],
    floors: Float64Array,
    sizes: Float64Array,
    supply: number,
  ): void {
    const services = kernels.flatMap(({ kind }, index) => (kind === 'service' ? [index] : []));
    const divided = divide({
      floors: services.map((index) => floors[index]!),
      // Here nothing is kept out of caution: what is not needed now, another one needs.
      needs: services.map((index) => Math.max(floors[index]!, Math.min(sizes[index]!, states[index]!.bare))),
      wishes: services.map((index) => Math.max(floors[index]!, Math.min(sizes[index]!, states[index]!.need))),
      entitlements: services.map((index) => kernels[index]!.entitlement / grain),
      priorities: services.map((index) => kernels[index]!.priority),
      credits: services.map((index) => {
        const { entitlement } = kernels[index]!;
        // Who has the turn keeps it for a step.
        const turn = observations[index]!.cpus > entitlement ? 1 : 0;
        return Math.round(states[index]!.credits / (Math.max(grain, entitlement) * CREDIT_STEP)) + turn;
      }),
      gain: (each, size) => {
        const index = services[each]!;
        const { promiseMs } = kernels[index]!;
        if (states[index]!.waits) return 1;
        const on = (pieces: number) => states[index]!.spoiltOn(pieces * grain, promiseMs);
        return on(size) - on(size + 1);
      },
      supply,
    });
    for (const [each, index] of services.entries()) sizes[index] = divided[each]!;
  }

  /** Who has less than its entitlement lends the rest, who has more borrows. */
  #account(
    { kernels, observations, grain, at, seconds }: Window,
    index: number,
    state: ServiceState,
    size: number,
  ): void {
    const { entitlement } = kernels[index]!;
    const most = MOST_CREDIT * entitlement;
    const credits = state.credits + (entitlement - size * grain) * seconds;
    state.credits = Math.max(-most, Math.min(most, credits));
    const now = pieces(observations[index]!.cpus, grain);
    if (size < now) state.gave(at);
    else if (size > now) state.took(at);
  }

  #reason({ kernels, observations, grain }: Window, index: number, state: ServiceState, isShort: boolean): Reason {
    const { entitlement, kind, priority } = kernels[index]!;
    const { arrivals, queued, cpus, waiting, late } = observations[index]!;
    const need = state.need * grain;
    if (kind === 'batch') {
      return state.usable.most < cpus
        ? { rule: 'cannot-use', usable: state.usable.most, need: cpus }
        : { rule: 'rest' };
    }
    if (state.distrusted) return { rule: 'distrusted', entitlement, claimed: waiting };
    if (state.usable.most < need) return { rule: 'cannot-use', usable: state.usable.most, need };
    if (isShort) return { rule: 'short', need, entitlement, priority, credits: state.credits };
    if (need < cpus) return { rule: 'quiet', seconds: this.#quiet, need: state.recentNeed * grain };
    return {
      rule: 'need',
      arrivals,
      headroom: state.demand.headroom,
      serviceMs: state.service * 1000,
      queued,
      need,
      lateNow: late,
    };
  }
}

export const slo: Policy = {
  name: 'slo',
  summary: 'what a queueing model says the promise takes, for the demand that is foreseen',
  interval: 0.25,
  memory: true,
  defaults: SLO_DEFAULTS,
  grid: { jumps: [0.9, 0.95, 0.98], quiet: [5, 10], charge: [20, 60] },
  begin: (parameters) => new Slo({ ...SLO_DEFAULTS, ...parameters }),
};
