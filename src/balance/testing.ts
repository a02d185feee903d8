/** Windows for tests, of which only what matters is said. */
import type { Kernel, Observation, Window } from './types.ts';

export function window(
  {
    kernels,
    ...pool
  }: { cpus: number; kernels: readonly Partial<Kernel>[]; at?: number; seconds?: number; grain?: number },
  observations: readonly Partial<Observation>[],
): Window {
  return {
    at: 1,
    seconds: 1,
    grain: 1,
    ...pool,
    kernels: kernels.map((kernel, index) => ({
      name: `k${index}`,
      kind: 'service',
      min: 1,
      max: pool.cpus,
      entitlement: pool.cpus / kernels.length,
      priority: 0,
      promiseMs: kernel.kind === 'batch' ? null : 100,
      ...kernel,
    })),
    observations: observations.map((each) => ({
      known: true,
      cpus: 1,
      busy: 0,
      busyPeak: each.busy ?? 0,
      busyDeviation: 0,
      waiting: 0,
      throttled: 0,
      work: 0,
      arrivals: 0,
      finished: 0,
      queued: 0,
      late: 0,
      p99Ms: null,
      ...each,
    })),
  };
}
