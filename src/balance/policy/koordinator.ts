/**
 * Koordinator's CPU suppression: batch kernels get what is left of `threshold` of the pool when the services' use is taken off.
 *
 * left = capacity · threshold − busy CPUs of services; rounded up, at least `least`; it shrinks at once and grows by at most
 * ⌈`growth` · capacity⌉ a tick. The host's own use is outside of the pool. The services have the rest in proportion to their use,
 * since here each has a kernel of its own and they cannot share it.
 * Source: cpu_suppress.go of https://github.com/koordinator-sh/koordinator (Apache-2.0).
 */
import type { Controller, Policy, Window, Wish } from '../types.ts';
import { boundsNow, pieces, wishes } from './allot.ts';
import { level } from './level.ts';

const DEFAULTS = { threshold: 0.65, growth: 0.1, least: 2 };

/** CPUs of best effort after this tick, given those it has. `busy`: of all else. */
export function suppress(capacity: number, busy: number, now: number, parameters = DEFAULTS): number {
  const { threshold, growth, least } = parameters;
  const left = Math.max(least, Math.ceil(capacity * threshold - busy - 1e-9));
  return Math.min(left, now + Math.ceil(growth * capacity - 1e-9));
}

class Koordinator implements Controller {
  readonly #parameters: typeof DEFAULTS;
  constructor(parameters: typeof DEFAULTS) {
    this.#parameters = parameters;
  }

  decide(window: Window): readonly Wish[] {
    const { kernels, observations, grain } = window;
    const services: number[] = [];
    const batch: number[] = [];
    for (const [index, { kind }] of kernels.entries()) (kind === 'service' ? services : batch).push(index);
    if (services.length === 0 || batch.length === 0) return [];
    const total = (of: number[], what: 'busy' | 'cpus') =>
      of.reduce((sum, index) => sum + observations[index]![what], 0);
    const busy = total(services, 'busy');
    const left = suppress(window.cpus, busy, total(batch, 'cpus'), this.#parameters);
    const sizes = new Float64Array(kernels.length);
    const capacity = Math.floor(window.cpus / grain + 1e-9);
    const forBatch = Math.min(pieces(left, grain), capacity);
    const given = spread(window, batch, () => 1, forBatch, sizes);
    spread(
      window,
      services,
      (index) => observations[index]!.busy + observations[index]!.waiting,
      capacity - given,
      sizes,
    );
    const room = busy > 0 ? (capacity - given) * grain - busy : 0;
    return wishes(window, sizes, (index) =>
      kernels[index]!.kind === 'batch'
        ? { rule: 'suppress', limit: window.cpus * this.#parameters.threshold, busy, left }
        : { rule: 'latency-critical', busy: observations[index]!.busy, room },
    );
  }
}

/** Writes sizes in pieces of `members`, in proportion to `weight` within their bounds; gives their sum. */
function spread(
  window: Window,
  members: readonly number[],
  weight: (index: number) => number,
  total: number,
  sizes: Float64Array,
): number {
  const ranges = members.map((index) => boundsNow(window, index));
  const weights = members.map((index) => Math.max(weight(index), 1e-3));
  const at = (ratio: number) =>
    members.map((_, each) =>
      Math.max(ranges[each]![0], Math.min(ranges[each]![1], Math.floor(weights[each]! * ratio))),
    );
  const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
  let low = 0;
  let high = (total + 1) / Math.min(...weights);
  for (let round = 0; round < 40; round++) {
    const middle = (low + high) / 2;
    if (sum(at(middle)) <= total) low = middle;
    else high = middle;
  }
  const shares = at(low);
  const more = level(
    weights.map((_, each) => -shares[each]!),
    shares.map((share, each) => ranges[each]![1] - share),
    Math.max(0, total - sum(shares)),
  );
  for (const [each, index] of members.entries()) sizes[index] = shares[each]! + more[each]!;
  return sum(members.map((index) => sizes[index]!));
}

export const koordinator: Policy = {
  name: 'koordinator',
  summary: 'batch kernels get what services leave of a part of the pool',
  interval: 1,
  defaults: DEFAULTS,
  grid: { threshold: [0.35, 0.5, 0.65, 0.8], growth: [0.1, 0.2], least: [1, 2] },
  begin: (parameters) => new Koordinator({ ...DEFAULTS, ...parameters }),
};
