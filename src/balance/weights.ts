/** Requests go where CPUs are: a target of a service counts by what its kernel has of CPUs. Pure. */
import type { ServiceStatus } from '../service/contract.ts';
import type { Decision } from './types.ts';

/** Of what it is; smaller differences are not worth a change. */
const DEAD_BAND = 0.1;

export type Steered = Pick<ServiceStatus, 'name'> & {
  targets: readonly Pick<ServiceStatus['targets'][number], 'instance' | 'weight' | 'weightNow' | 'drain'>[];
};

export interface Steering {
  service: string;
  /** How many times its weight each target is to count. */
  times: ReadonlyMap<string, number>;
  decisions: Decision[];
}

/** `cpusOf`: of kernels that run; undefined of others, which count as they were. null: it is as it should be, or there is no choice. */
export function steering(
  { name, targets }: Steered,
  cpusOf: (instance: string) => number | undefined,
  at: number,
): Steering | null {
  const sizes = targets.flatMap(({ instance }) => cpusOf(instance) ?? []);
  if (sizes.length < 2) return null;
  const mean = sizes.reduce((sum, each) => sum + each, 0) / sizes.length;
  const times = new Map<string, number>();
  const decisions: Decision[] = [];
  for (const { instance, weight, weightNow, drain } of targets) {
    const cpus = cpusOf(instance);
    if (cpus === undefined || drain || weight === 0) continue;
    times.set(instance, cpus / mean);
    const wanted = Math.min(256, Math.max(1, Math.round((weight * cpus) / mean)));
    if (Math.abs(wanted - weightNow) <= weightNow * DEAD_BAND) continue;
    const move = { kind: 'weight', service: name, kernel: instance, weight: wanted } as const;
    const reason = { rule: 'capacity', cpus, mean } as const;
    decisions.push({ at, move, taker: { kernel: instance, before: weightNow, after: wanted, reason } });
  }
  return decisions.length === 0 ? null : { service: name, times, decisions };
}
