/**
 * What the pool does to the host kernel, as data: it is written down before it is done, so that any later process can
 * undo it.
 *
 * INVARIANTS
 * - plan reads only. perform and undo may be repeated, and may find the act done in part: they lead to the same state.
 * - undo touches nothing that somebody else has changed since.
 * - What the kernel refuses, and what needs rights this user lacks, is a note and no error.
 */
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

export interface HostPlan {
  acts: HostAct[];
  /** Why less is done than could be, one sentence each. */
  notes: string[];
}

export interface Outcome {
  /** Whether the act is done, or undone, as far as this can be told from the host kernel afterwards. */
  done: boolean;
  /** What a person should know. */
  note?: string;
}

/** One value of the host kernel beside what was asked for. */
export interface ReadBack {
  act: HostAct;
  /** For people: `interrupt 24`, `huge pages of 2 MiB on node 0`. */
  what: string;
  wanted: string;
  /** undefined when there is no such thing now. */
  real: string | undefined;
  /** Whether it is as wanted. */
  holds: boolean;
}

/** What has to be done to the host for a pool, in order; undo goes backwards. Reads only. */
export function planHostActs(host: HostFiles, request: HostPlanRequest): HostPlan {
  const parts: HostPlan[] = [
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
export const readBack = (host: HostFiles, acts: readonly HostAct[]): ReadBack[] =>
  acts.flatMap((act) => readAct(host, act));

function readAct(host: HostFiles, act: HostAct): ReadBack[] {
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
