/** Windows of a policy, made of what is: the elastic kernels that own something of the pool, or those that do not. */
import type { InstanceStatus } from '../instance/contract.ts';
import type { Ledger } from '../ledger/index.ts';
import { free } from '../ledger/index.ts';
import type { InstanceStats } from '../telemetry/contract.ts';
import type { Observer } from './observer.ts';
import type { Kernel, Window } from './types.ts';

/** CPUs move whole. */
const GRAIN = 1;

export interface Promised {
  /** Instances that a service leads to, with what it promises of latency in milliseconds; null = nothing. */
  readonly promises: ReadonlyMap<string, number | null>;
}

export interface Present extends Promised {
  instances: readonly InstanceStatus[];
  stats: ReadonlyMap<string, InstanceStats>;
  ledger: Ledger;
  /** Whose size is not to change now. */
  isHeld(name: string): boolean;
  nowMs: number;
}

/** Those whose CPUs may change: they run, and their owner stated bounds. */
export const elasticOf = (instances: readonly InstanceStatus[], owners: boolean): InstanceStatus[] =>
  instances.filter(
    ({ spec, state, placement }) =>
      state === 'running' && spec.elastic?.cpus != null && (placement !== null) === owners,
  );

/** undefined where there is nobody to balance. `before`: the last one, whose kernels are the same object while they are alike. */
export function windowOf(
  present: Present,
  owners: boolean,
  seconds: number,
  observer: Observer,
  before: Window | undefined,
): Window | undefined {
  const elastic = elasticOf(present.instances, owners);
  if (elastic.length === 0) return undefined;
  const fresh = elastic.map((status) => kernelOf(status, present.promises));
  const kernels = before && JSON.stringify(before.kernels) === JSON.stringify(fresh) ? before.kernels : fresh;
  const observations = elastic.map(({ spec, size }, index) => {
    const promise = kernels[index]!.promiseMs;
    const seen = observer.observe(present.stats.get(spec.name), size.cpus, promise, present.nowMs);
    // What is not known keeps its size.
    return present.isHeld(spec.name) ? { ...seen, known: false } : seen;
  });
  const own = elastic.reduce((sum, { size }) => sum + size.cpus, 0);
  const entitled = kernels.reduce((sum, { entitlement }) => sum + entitlement, 0);
  const cpus = owners ? own + free(present.ledger).cpus.length : Math.max(own, entitled);
  return { at: present.nowMs / 1000, seconds, cpus, grain: GRAIN, kernels, observations };
}

function kernelOf({ spec }: InstanceStatus, promises: Promised['promises']): Kernel {
  const { name, cpus, elastic } = spec;
  const { min, max } = elastic!.cpus!;
  const promiseMs = promises.get(name);
  const kind = promiseMs === undefined ? 'batch' : 'service';
  return { name, kind, min, max, entitlement: cpus, promiseMs: promiseMs ?? null };
}
