/**
 * Kubernetes' autoscaler, on CPUs instead of replicas, in two tempos.
 *
 * Every `period` seconds w = ⌈busy / target⌉, which is ⌈n · metric / target⌉ for the metric busy / n; within `tolerance` of the
 * target w = n. The size is the largest w of the last `stabilisation` seconds: growth at once, no shrinking on a passing dip.
 * Source: the horizontal pod autoscaler's algorithm, https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/
 * (15 s, 10 %, 300 s), and Autothrottle's baseline K8s-CPU (https://arxiv.org/abs/2212.12180): slow 15 s over 300 s, fast 1 s
 * over 20 s, without tolerance.
 */
import type { Controller, Policy, Window, Wish } from '../types.ts';
import { allot, pieces } from './allot.ts';
import { HighestOf } from './highest.ts';
import { Roster } from './roster.ts';

const SLOW = { target: 0.5, tolerance: 0.1, period: 15, stabilisation: 300 };
const FAST = { target: 0.6, tolerance: 0, period: 1, stabilisation: 20 };

class Threshold implements Controller {
  readonly #parameters: typeof SLOW;
  readonly #roster: Roster<HighestOf>;
  #due = 0;
  constructor(parameters: typeof SLOW) {
    this.#parameters = parameters;
    const { stabilisation } = parameters;
    this.#roster = new Roster(() => new HighestOf(stabilisation));
  }

  decide(window: Window): readonly Wish[] {
    if (window.at < this.#due) return [];
    const { target, tolerance, period, stabilisation } = this.#parameters;
    this.#due = window.at + period - 1e-9;
    const recent = this.#roster.of(window.kernels);
    const wants = new Float64Array(window.kernels.length);
    for (let index = 0; index < wants.length; index++) {
      const { busy, cpus } = window.observations[index]!;
      const ratio = cpus > 0 ? busy / (cpus * target) : Number.POSITIVE_INFINITY;
      const wanted = Math.abs(ratio - 1) <= tolerance ? cpus : pieces(busy / target, window.grain) * window.grain;
      wants[index] = recent[index]!.add(window.at, wanted);
    }
    return allot(window, wants, (index) => ({
      rule: 'utilisation',
      busy: window.observations[index]!.busy,
      target,
      highest: wants[index]!,
      overSeconds: stabilisation,
    }));
  }
}

const variant = (name: string, summary: string, defaults: typeof SLOW, targets: readonly number[]): Policy => ({
  name,
  summary,
  interval: 1,
  defaults,
  grid: { target: targets },
  begin: (parameters) => new Threshold({ ...defaults, ...parameters }),
});

const TARGETS = [0.3, 0.4, 0.5, 0.6, 0.65, 0.7, 0.75, 0.8];
export const threshold = variant('threshold', "Kubernetes' autoscaler: utilisation against a target", SLOW, TARGETS);
export const thresholdFast = variant('threshold-fast', 'the same each second, over 20 s', FAST, TARGETS);
