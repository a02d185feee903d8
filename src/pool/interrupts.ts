/** Interrupts steered off the pool's CPUs (Documentation/core-api/irq/irq-affinity.rst). */

import type { ActPlan, Outcome, ReadBack } from '../core/act.ts';
import { formatCpuList, formatCpuMask, parseCpuList, parseCpuMask } from '../sys/cpu-list.ts';
import { errnoOf, type HostFiles, MANAGED, reasonOf } from '../sys/host-files.ts';

export interface InterruptAct {
  kind: 'irq';
  /** `default`: where interrupts that do not exist yet will be allowed. */
  irq: number | 'default';
  /** CPU lists. */
  before: string;
  after: string;
}

const DIRECTORY = '/proc/irq';

/**
 * Every interrupt that may fire on the pool keeps its other CPUs, or gets all housekeeping CPUs where it has no other.
 * smp_affinity_list is what is allowed; where the hardware really sends it follows from that.
 */
export function plan(
  host: HostFiles,
  poolCpus: readonly number[],
  housekeeping: readonly number[],
): ActPlan<InterruptAct> {
  const pool = new Set(poolCpus);
  const numbers = host
    .list(DIRECTORY)
    .filter((name) => /^\d{1,9}$/.test(name))
    .map(Number)
    .sort((a, b) => a - b);
  const acts: InterruptAct[] = [];
  const locked: string[] = [];
  for (const irq of [...numbers, 'default'] as const) {
    const cpus = allowed(host, irq);
    if (cpus === undefined || !cpus.some((cpu) => pool.has(cpu))) continue;
    const rest = cpus.filter((cpu) => !pool.has(cpu));
    const after = rest.length > 0 ? rest : housekeeping;
    if (after.length === 0) continue;
    if (!host.isWritable(fileOf(irq))) locked.push(String(irq));
    else acts.push({ kind: 'irq', irq, before: formatCpuList(cpus), after: formatCpuList(after) });
  }
  const notes =
    locked.length === 0
      ? []
      : [`${locked.length} interrupts may still fire on CPUs of the pool: only root may move them (${DIRECTORY})`];
  return { acts, notes };
}

export function perform(host: HostFiles, act: InterruptAct): Outcome {
  if (allowed(host, act.irq) === undefined) return { done: true };
  return move(host, act, act.after);
}

export function undo(host: HostFiles, act: InterruptAct): Outcome {
  const cpus = allowed(host, act.irq);
  // Gone with its device, or refused when it was to be moved.
  if (cpus === undefined || formatCpuList(cpus) === act.before) return { done: true };
  if (formatCpuList(cpus) !== act.after) {
    return {
      done: false,
      note: `${nameOf(act)} is left on CPUs ${formatCpuList(cpus)}: somebody else has moved it`,
    };
  }
  return move(host, act, act.before);
}

export function readBack(host: HostFiles, act: InterruptAct): ReadBack<InterruptAct> {
  const cpus = allowed(host, act.irq);
  const real = cpus === undefined ? undefined : formatCpuList(cpus);
  return { act, what: nameOf(act), wanted: act.after, real, holds: real === undefined || real === act.after };
}

function move(host: HostFiles, act: InterruptAct, list: string): Outcome {
  try {
    const before = host.read(fileOf(act.irq));
    // The default is a mask only, and one with as many words as the kernel shows is what every kernel takes.
    const text = act.irq === 'default' ? formatCpuMask(parseCpuList(list), before?.split(',').length ?? 1) : list;
    host.write(fileOf(act.irq), text);
    return { done: true };
  } catch (error) {
    return { done: false, note: `${nameOf(act)} cannot be moved to CPUs ${list}: ${refusal(error)}` };
  }
}

/** For an interrupt that the kernel keeps where it is, it answers EIO, or from Linux 6.11 on EPERM (write_irq_affinity()). */
const refusal = (error: unknown): string => (errnoOf(error) === 'EPERM' ? MANAGED : reasonOf(error));

const fileOf = (irq: number | 'default'): string =>
  irq === 'default' ? `${DIRECTORY}/default_smp_affinity` : `${DIRECTORY}/${irq}/smp_affinity_list`;

const nameOf = ({ irq }: InterruptAct): string =>
  irq === 'default' ? 'the default for new interrupts' : `interrupt ${irq}`;

/** CPUs it may fire on; undefined when there is no such interrupt, or what the kernel says cannot be understood. */
function allowed(host: HostFiles, irq: number | 'default'): number[] | undefined {
  const text = host.read(fileOf(irq));
  if (text === undefined) return undefined;
  try {
    return irq === 'default' ? parseCpuMask(text) : parseCpuList(text);
  } catch {
    return undefined;
  }
}
