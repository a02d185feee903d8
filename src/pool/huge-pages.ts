/** Huge pages reserved per node (Documentation/admin-guide/mm/hugetlbpage.rst). */

import type { ActPlan, Outcome, ReadBack } from '../core/act.ts';
import { type HostFiles, reasonOf } from '../sys/host-files.ts';
import { formatBytes } from '../sys/units.ts';

export interface HugePagesWish {
  node: number;
  /** Size of one page in bytes. */
  sizeBytes: number;
  /** Pages that must be free. */
  count: number;
}

export interface HugePagesAct {
  kind: 'huge-pages';
  node: number;
  /** Size of one page in bytes. */
  sizeBytes: number;
  /** Pages of the node, free or not. */
  before: number;
  after: number;
}

/** Adds as many pages as are missing to those that are free. */
export function plan(host: HostFiles, wishes: readonly HugePagesWish[]): ActPlan<HugePagesAct> {
  const acts: HugePagesAct[] = [];
  const notes: string[] = [];
  for (const { node, sizeBytes, count } of wishes) {
    const before = number(host, { node, sizeBytes }, 'nr_hugepages');
    const free = number(host, { node, sizeBytes }, 'free_hugepages');
    if (before === undefined || free === undefined) {
      notes.push(`this host has no ${describe({ node, sizeBytes })}`);
    } else if (count > free && !host.isWritable(fileOf(host, { node, sizeBytes }, 'nr_hugepages'))) {
      notes.push(`${count - free} ${describe({ node, sizeBytes })} are missing, and only root may reserve them`);
    } else if (count > free) {
      acts.push({ kind: 'huge-pages', node, sizeBytes, before, after: before + count - free });
    }
  }
  return { acts, notes };
}

export function perform(host: HostFiles, act: HugePagesAct): Outcome {
  const refused = set(host, act, act.after);
  if (refused !== undefined) return refused;
  // The kernel gives what it finds in one piece, which may be less, and calls that success.
  const got = number(host, act, 'nr_hugepages') ?? 0;
  if (got >= act.after) return { done: true };
  return {
    done: false,
    note:
      `only ${got - act.before} of ${act.after - act.before} ${describe(act)} could be reserved: ` +
      'the free memory is in smaller pieces (reserve them at boot with hugepages=)',
  };
}

export function undo(host: HostFiles, act: HugePagesAct): Outcome {
  const now = number(host, act, 'nr_hugepages');
  if (now === undefined || now === act.before) return { done: true };
  if (now < act.before || now > act.after) {
    return { done: false, note: `the ${now} ${describe(act)} are left: somebody else has changed their number` };
  }
  // Pages in use become surplus and go when they are freed.
  return set(host, act, act.before) ?? { done: true };
}

export function readBack(host: HostFiles, act: HugePagesAct): ReadBack<HugePagesAct> {
  const real = number(host, act, 'nr_hugepages');
  const holds = real !== undefined && real >= act.after;
  return { act, what: describe(act), wanted: String(act.after), real: real?.toString(), holds };
}

function set(host: HostFiles, act: HugePagesAct, count: number): Outcome | undefined {
  try {
    host.write(fileOf(host, act, 'nr_hugepages'), String(count));
    return undefined;
  } catch (error) {
    return { done: false, note: `the number of ${describe(act)} cannot be changed: ${reasonOf(error)}` };
  }
}

type Kind = Pick<HugePagesAct, 'node' | 'sizeBytes'>;

const describe = ({ node, sizeBytes }: Kind): string => `huge pages of ${formatBytes(sizeBytes)} on node ${node}`;

function number(host: HostFiles, kind: Kind, file: string): number | undefined {
  const text = host.read(fileOf(host, kind, file));
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

/** A kernel without NUMA has the files of its one node elsewhere. */
function fileOf(host: HostFiles, { node, sizeBytes }: Kind, file: string): string {
  const size = `hugepages-${sizeBytes / 1024}kB`;
  const perNode = `/sys/devices/system/node/node${node}/hugepages/${size}/${file}`;
  return node === 0 && host.read(perNode) === undefined ? `/sys/kernel/mm/hugepages/${size}/${file}` : perNode;
}
