/**
 * What the pool does to the host kernel, as data: it is written down before it is done, so that any later process can
 * undo it.
 *
 * INVARIANTS
 * - plan reads only. perform and undo may be repeated, and may find the act done in part: they lead to the same state.
 * - undo touches nothing that somebody else has changed since.
 * - What the kernel refuses, and what needs rights this user lacks, is a note and no error.
 */

import type { ActPlan, Outcome, ReadBack } from '../core/act.ts';
import type { HostFiles } from '../sys/host-files.ts';
import * as groups from './group-acts.ts';
import * as hugePages from './huge-pages.ts';
import * as interrupts from './interrupts.ts';

export type HostAct = interrupts.InterruptAct | groups.ControllersAct | groups.GroupAct | hugePages.HugePagesAct;

export interface HostPlanRequest {
  /** All CPUs of the pool, the shared ones among them. */
  poolCpus: readonly number[];
  /** CPUs that stay with the host; never empty in a valid pool. */
  housekeeping: readonly number[];
  /** Huge pages that must be free. */
  hugePages?: readonly hugePages.HugePagesWish[];
  /** Acts of the pool that this one replaces; they have been undone as far as that was possible. */
  previous?: readonly HostAct[];
}

export type HostPlan = ActPlan<HostAct>;

/** What has to be done to the host for a pool, in order; undo goes backwards. Reads only. */
export function planHostActs(host: HostFiles, request: HostPlanRequest): HostPlan {
  const parts: ActPlan<HostAct>[] = [
    groups.plan(host, request.poolCpus, request.previous ?? []),
    interrupts.plan(host, request.poolCpus, request.housekeeping),
    hugePages.plan(host, request.hugePages ?? []),
  ];
  return { acts: parts.flatMap(({ acts }) => acts), notes: parts.flatMap(({ notes }) => notes) };
}

/** Does one act. */
export async function perform(host: HostFiles, act: HostAct): Promise<Outcome> {
  switch (act.kind) {
    case 'irq':
      return interrupts.perform(host, act);
    case 'controllers':
      return groups.performControllers(host, act);
    case 'group':
      return groups.performGroup(host, act);
    case 'huge-pages':
      return hugePages.perform(host, act);
  }
}

/** Restores what was before one act. */
export async function undo(host: HostFiles, act: HostAct): Promise<Outcome> {
  switch (act.kind) {
    case 'irq':
      return interrupts.undo(host, act);
    case 'controllers':
      return groups.undoControllers(host, act);
    case 'group':
      return groups.undoGroup(host, act);
    case 'huge-pages':
      return hugePages.undo(host, act);
  }
}

/** What is real now, read from the host kernel. */
export const readBack = (host: HostFiles, acts: readonly HostAct[]): ReadBack<HostAct>[] =>
  acts.flatMap((act) => readAct(host, act));

function readAct(host: HostFiles, act: HostAct): ReadBack<HostAct>[] {
  switch (act.kind) {
    case 'irq':
      return [interrupts.readBack(host, act)];
    case 'controllers':
      return [groups.readControllers(host, act)];
    case 'group':
      return groups.readGroup(host, act);
    case 'huge-pages':
      return [hugePages.readBack(host, act)];
  }
}
