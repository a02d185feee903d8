/** How large kernels are before a policy has said anything: the equal split, under every policy. */
import { equalSplit } from '../policy/static.ts';
import type { Observation } from '../types.ts';
import type { Case } from './types.ts';

/** CPUs of each tenant. */
export function startSizes({ tenants, cpus, grain }: Case): number[] {
  const window = { at: 0, seconds: 1, cpus, grain, kernels: tenants, observations: [] as Observation[] };
  return Array.from(equalSplit(window), (size) => size * grain);
}
