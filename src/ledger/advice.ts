/**
 * Advice on a plan or on what stands: not errors, but what makes instances slower, less private or less robust than
 * their partitions promise. Each piece has a stable id and a page, `docs/advice/ID.md`.
 */
import type { Interrupt } from '../topology/index.ts';
import { mixedCoreTypes, oddCores, smtSharing } from './advice/cores.ts';
import { absentFunction, iommuGroup, remoteDevice, splitDevice } from './advice/devices.ts';
import { interrupts, overcommit, tcgVcpus } from './advice/load.ts';
import { hugePageShortage, ramPerCore, remoteMemory } from './advice/memory.ts';
import { bootCpu, cpusetLimits, housekeeping, isolated, offline } from './advice/pool.ts';
import type { AdviceInput, Finding, InstanceFacts, Rule } from './advice/rule.ts';
import { viewOf } from './advice/view.ts';

export type { AdviceInput, InstanceFacts, Interrupt };

const RULES = {
  'absent-function': absentFunction,
  'boot-cpu': bootCpu,
  'cpuset-limits': cpusetLimits,
  'housekeeping-cpus': housekeeping,
  'huge-page-shortage': hugePageShortage,
  interrupts,
  'iommu-group': iommuGroup,
  'isolated-cpus': isolated,
  'mixed-core-types': mixedCoreTypes,
  'odd-cores': oddCores,
  'offline-cpus': offline,
  overcommit,
  'ram-per-core': ramPerCore,
  'remote-device': remoteDevice,
  'remote-memory': remoteMemory,
  'smt-sharing': smtSharing,
  'split-device': splitDevice,
  'tcg-vcpus': tcgVcpus,
} as const satisfies Record<string, Rule>;

export type AdviceId = keyof typeof RULES;

/** Ascending. Stable: an id keeps its meaning, and one that is given up is not used again. */
export const ADVICE_IDS = Object.keys(RULES) as readonly AdviceId[];

export interface Advice extends Finding {
  id: AdviceId;
  /** Where it is explained: `docs/advice/ID.md`. */
  page: string;
}

/**
 * Everything worth saying about `input`, warnings first, then by id and subject. The same input gives the same advice. A
 * plan that uses the machine well gets none.
 */
export function advise(input: AdviceInput): readonly Advice[] {
  const view = viewOf(input.topology, input.ledger);
  return ADVICE_IDS.flatMap((id) =>
    RULES[id](view, input).map((finding) => ({ id, ...finding, page: `docs/advice/${id}.md` })),
  ).sort((a, b) => order(rank(a), rank(b)));
}

const rank = ({ severity, id, subject }: Advice) => [severity === 'warning' ? '0' : '1', id, subject] as const;

function order(a: readonly string[], b: readonly string[]): number {
  const index = a.findIndex((value, each) => value !== b[each]);
  return index < 0 ? 0 : a[index]! < b[index]! ? -1 : 1;
}
