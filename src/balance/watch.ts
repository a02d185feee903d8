/** Windows of a policy, made of what is: the elastic kernels that own something of the pool, or those that do not. */
import type { InstanceStatus } from '../instance/contract.ts';
import { declaredSize, isShare } from '../instance/size.ts';
import type { Ledger } from '../ledger/index.ts';
import { free } from '../ledger/index.ts';
import type { InstanceStats } from '../telemetry/contract.ts';
import { type Observer, observeMemory } from './observer.ts';
import type { Kernel, MemoryWindow, Window } from './types.ts';

/** CPUs move whole, shares of them in twentieths. */
const PIECES = { whole: 1, share: 0.05 } as const;

export interface Promised {
  /** Instances that a service leads to, with what it promises of latency in milliseconds; null = nothing. */
  readonly promises: ReadonlyMap<string, number | null>;
}

export interface Present extends Promised {
  instances: readonly InstanceStatus[];
  stats: ReadonlyMap<string, InstanceStats>;
  ledger: Ledger;
  /** Bytes that sizes of its memory are apart. */
  memoryStep(name: string): number;
  /** Whose size is not to change now. */
  isHeld(name: string): boolean;
  nowMs: number;
}

/**
 * Among whom CPUs can move: those that own whole ones, those that share the same ones, and those that own nothing. null of one that
 * takes no part: it does not run, or its owner stated no bounds.
 */
export function groupOf({ spec, state, placement }: InstanceStatus): string | null {
  if (state !== 'running' || spec.elastic?.cpus == null) return null;
  if (placement === null) return 'none';
  const { shared } = placement.partition;
  return shared === null ? 'whole' : `share of ${shared.cpus.join()}`;
}

/** `elastic`: those of one group. `before`: the last one, whose kernels are the same object while they are alike. */
export function windowOf(
  present: Present,
  elastic: readonly InstanceStatus[],
  seconds: number,
  observer: Observer,
  before: Window | undefined,
): Window {
  const fresh = elastic.map((status) => kernelOf(status, present.promises));
  const kernels = before && JSON.stringify(before.kernels) === JSON.stringify(fresh) ? before.kernels : fresh;
  const observations = elastic.map(({ spec, size }, index) => {
    const promise = kernels[index]!.promiseMs;
    const has = { cpus: size.cpus, isShare: isShare(spec) };
    const seen = observer.observe(present.stats.get(spec.name), has, promise, present.nowMs);
    // What is not known keeps its size.
    return present.isHeld(spec.name) ? { ...seen, known: false } : seen;
  });
  const own = elastic.reduce((sum, { size }) => sum + size.cpus, 0);
  const isOfShares = elastic.some(({ spec }) => isShare(spec));
  const grain = isOfShares ? PIECES.share : PIECES.whole;
  const cpus = tidy(own + unowned(elastic, own, present.ledger));
  return { at: present.nowMs / 1000, seconds, cpus, grain, kernels, observations };
}

/** Kernels whose memory may change: those that own of the pool, or those that own nothing. null where there are none. */
export function memoryWindowOf(present: Present, owners: boolean): MemoryWindow | null {
  const elastic = present.instances.filter(
    ({ spec, state, placement }) =>
      state === 'running' && spec.elastic?.memoryBytes != null && (placement !== null) === owners,
  );
  if (elastic.length === 0) return null;
  const sum = (of: (status: InstanceStatus) => number) => elastic.reduce((total, status) => total + of(status), 0);
  const unowned = owners
    ? free(present.ledger).memory.reduce((total, { bytes }) => total + bytes, 0)
    : sum(({ spec }) => spec.memoryBytes) - sum(({ size }) => size.memoryBytes);
  return {
    at: present.nowMs / 1000,
    free: Math.max(0, unowned),
    kernels: elastic.map(({ spec }) => ({
      name: spec.name,
      priority: spec.priority,
      kind: present.promises.has(spec.name) ? 'service' : 'batch',
      ...spec.elastic!.memoryBytes!,
      entitlement: spec.memoryBytes,
      step: present.memoryStep(spec.name),
    })),
    observations: elastic.map(({ spec, size }) => {
      const seen = observeMemory(present.stats.get(spec.name), size.memoryBytes, present.nowMs);
      return present.isHeld(spec.name) ? { ...seen, known: false } : seen;
    }),
  };
}

/** CPUs that they could have besides their own. */
function unowned([first, ...others]: readonly InstanceStatus[], own: number, ledger: Ledger): number {
  const { cpus, shared } = free(ledger);
  if (first!.placement === null) {
    // Of what nobody owns they have together what was declared of them, however it is split.
    const entitled = [first!, ...others].reduce((sum, { spec }) => sum + declaredSize(spec).cpus, 0);
    return Math.max(0, entitled - own);
  }
  const on = first!.placement.partition.shared?.cpus;
  if (on === undefined) return cpus.length;
  // One that is on several has the same of each.
  return (
    (on.length * Math.min(...shared.filter(({ cpu }) => on.includes(cpu)).map(({ milliCpus }) => milliCpus))) / 1000
  );
}

/** Sums of shares without the dust of floating point. */
const tidy = (cpus: number): number => Math.round(cpus * 1000) / 1000;

function kernelOf({ spec }: InstanceStatus, promises: Promised['promises']): Kernel {
  const { name, elastic, priority } = spec;
  const { cpus } = declaredSize(spec);
  const { min, max } = elastic!.cpus!;
  const promiseMs = promises.get(name);
  const kind = promiseMs === undefined ? 'batch' : 'service';
  return { name, kind, min, max, entitlement: cpus, priority, promiseMs: promiseMs ?? null };
}
