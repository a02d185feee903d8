/**
 * The control group `polykernel`, below which each kernel has one of its own (instance-groups.ts).
 *
 * Version 2: a threaded group that is a cpuset partition: its CPUs are taken away from every other group. Threaded, since
 * only the vCPU threads of a VMM belong on these CPUs; the root group, which is exempt from the rules of the hierarchy, is
 * the domain that the threads' processes stay in. Version 1: cpusets do not take CPUs from others, and its flag
 * `cpu_exclusive` only makes the creation of overlapping groups, such as every container's, fail. So the group allows all
 * CPUs there, and what confines is the group of each kernel.
 */

import type { Act, ActPlan, Outcome, ReadBack } from '../core/act.ts';
import { CGROUP, GROUP } from '../sys/control-groups.ts';
import { formatCpuList } from '../sys/cpu-list.ts';
import { type HostFiles, reasonOf } from '../sys/host-files.ts';

const SUBTREE = 'cgroup.subtree_control';
const CONTROL = `${CGROUP}/${SUBTREE}`;
const PARTITION = 'cpuset.cpus.partition';

/** Controllers switched on for the children of the root group of version 2. */
export interface ControllersAct {
  kind: 'controllers';
  enable: readonly string[];
}

/** A group that is made, and removed to undo. */
export interface GroupAct {
  kind: 'group';
  version: 1 | 2;
  path: string;
  /** Control files and what they are to hold, in the order of writing. */
  values: readonly (readonly [file: string, value: string])[];
  /** Version 2: controllers that the groups of the kernels have. */
  controllers: readonly string[];
  /** Version 2: to become a cpuset partition, best kind first. */
  partition: readonly string[];
}

export function plan(
  host: HostFiles,
  poolCpus: readonly number[],
  previous: readonly Act[],
): ActPlan<ControllersAct | GroupAct> {
  const controllers = host.read(`${CGROUP}/cgroup.controllers`)?.split(' ') ?? [];
  if (controllers.includes('cpuset')) return planVersion2(host, controllers, poolCpus, previous);
  const hierarchies = ['cpuset', 'cpu'].filter(
    (name) => host.read(`${CGROUP}/${name}/${ROOT_FILES[name]}`) !== undefined,
  );
  if (!hierarchies.includes('cpuset')) {
    return { acts: [], notes: ['this host offers no cpuset control groups: CPUs are kept apart by affinity alone'] };
  }
  if (!host.isWritable(`${CGROUP}/cpuset`)) return { acts: [], notes: [NOT_ROOT] };
  const all = ['cpuset.cpus', 'cpuset.mems'].map(
    (file) => [file, host.read(`${CGROUP}/cpuset/${file}`) ?? ''] as const,
  );
  return {
    acts: hierarchies.map((name) => ({
      kind: 'group',
      version: 1,
      path: `${CGROUP}/${name}/${GROUP}`,
      values: name === 'cpuset' ? all : [['cpu.shares', MOST_SHARES]],
      controllers: [],
      partition: [],
    })),
    notes: ['cgroup v1 cannot keep ordinary tasks of the host off the CPUs of the pool; cgroup v2 can'],
  };
}

/** The CPUs of the pool are for the pool: a task of the host that runs there all the same gets what is left of them. */
const MOST_SHARES = '262144';
const MOST_WEIGHT = '10000';
/** By which a hierarchy of version 1 is known. */
const ROOT_FILES: Record<string, string> = { cpuset: 'cpuset.cpus', cpu: 'cpu.shares' };
const NOT_ROOT = 'only root may make control groups: CPUs are kept apart by affinity alone';

function planVersion2(
  host: HostFiles,
  controllers: readonly string[],
  poolCpus: readonly number[],
  previous: readonly Act[],
) {
  if (!host.isWritable(CONTROL)) return { acts: [], notes: [NOT_ROOT] };
  const wanted = ['cpuset', 'cpu'].filter((name) => controllers.includes(name));
  const enabled = enabledControllers(host);
  // What we enabled for the pool before, and could not disable while a kernel runs, is still ours to disable.
  const ours = previous.filter(isControllers).flatMap(({ enable }) => enable);
  const enable = wanted.filter((name) => !enabled.includes(name) || ours.includes(name));
  const acts: (ControllersAct | GroupAct)[] = [
    {
      kind: 'group',
      version: 2,
      path: `${CGROUP}/${GROUP}`,
      values: [
        ['cgroup.type', 'threaded'],
        ['cpuset.cpus', formatCpuList(poolCpus)],
        ...(wanted.includes('cpu') ? [['cpu.weight', MOST_WEIGHT] as const] : []),
      ],
      controllers: wanted,
      // An isolated one is free of unbound kernel work, too (Linux >= 6.7); known since 6.1.
      partition: ['isolated', 'root'],
    },
  ];
  if (enable.length > 0) acts.unshift({ kind: 'controllers', enable });
  return { acts, notes: [] };
}

const isControllers = (act: Act): act is ControllersAct => act.kind === 'controllers';

const enabledControllers = (host: HostFiles): string[] => host.read(CONTROL)?.split(' ') ?? [];

const signed = (sign: '+' | '-', names: readonly string[]): string => names.map((name) => sign + name).join(' ');

export function performControllers(host: HostFiles, act: ControllersAct): Outcome {
  return toggle(host, act, '+');
}

export function undoControllers(host: HostFiles, act: ControllersAct): Outcome {
  if (!act.enable.some((name) => enabledControllers(host).includes(name))) return { done: true };
  return toggle(host, act, '-');
}

function toggle(host: HostFiles, { enable }: ControllersAct, sign: '+' | '-'): Outcome {
  try {
    host.write(CONTROL, signed(sign, enable));
    return { done: true };
  } catch (error) {
    const verb = sign === '+' ? 'enabled' : 'disabled';
    return { done: false, note: `the controllers ${enable.join(', ')} cannot be ${verb}: ${reasonOf(error)}` };
  }
}

export function readControllers(host: HostFiles, act: ControllersAct): ReadBack<ControllersAct> {
  const real = enabledControllers(host);
  const holds = act.enable.every((name) => real.includes(name));
  return { act, what: CONTROL, wanted: act.enable.join(' '), real: real.join(' '), holds };
}

export function performGroup(host: HostFiles, act: GroupAct): Outcome {
  const { path, values, controllers } = act;
  try {
    host.makeDirectory(path);
    for (const [file, value] of values) host.write(`${path}/${file}`, value);
    if (controllers.length > 0) host.write(`${path}/${SUBTREE}`, signed('+', controllers));
  } catch (error) {
    const note = `the control group ${path} cannot be set up: ${reasonOf(error)}`;
    // One that lacks controllers would only make the start of kernels fail.
    return undoGroup(host, act).done ? { done: false, note } : { done: true, note };
  }
  return act.partition.length === 0 ? { done: true } : makePartition(host, act);
}

/** The kernel takes a kind that it cannot provide, and says only when asked that it is invalid. */
function makePartition(host: HostFiles, { path, partition }: GroupAct): Outcome {
  const file = `${path}/${PARTITION}`;
  if (partition.includes(host.read(file) ?? '')) return { done: true };
  let why = '';
  for (const kind of partition) {
    try {
      host.write(file, kind);
      const real = host.read(file) ?? '';
      if (real === kind) return { done: true };
      why = /\((.*)\)/.exec(real)?.[1] ?? real;
      host.write(file, 'member');
    } catch (error) {
      why = reasonOf(error);
    }
  }
  return { done: false, note: `the CPUs of the pool cannot be made a partition of their own: ${why}` };
}

export function undoGroup(host: HostFiles, { path }: GroupAct): Outcome {
  try {
    // What kernels have left behind; one that runs keeps its group, and so keeps ours.
    for (const name of host.directories(path)) host.removeDirectory(`${path}/${name}`);
    host.removeDirectory(path);
    return { done: true };
  } catch (error) {
    return { done: false, note: `the control group ${path} is left: ${reasonOf(error)}` };
  }
}

export function readGroup(host: HostFiles, act: GroupAct): ReadBack<GroupAct>[] {
  const { path, values, partition } = act;
  const rows: [string, readonly string[]][] = values.map(([file, value]) => [file, [value]]);
  if (partition.length > 0) rows.push([PARTITION, partition]);
  if (rows.length === 0) rows.push(['tasks', []]);
  return rows.map(([file, wanted]) => {
    const real = host.read(`${path}/${file}`);
    const holds = real !== undefined && (wanted.length === 0 || wanted.includes(real));
    return { act, what: `${path}/${file}`, wanted: wanted.join(' or '), real, holds };
  });
}
