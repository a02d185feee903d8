/**
 * The control group of each kernel, polykernel/ID, in every hierarchy where the pool has made its own (group-acts.ts).
 * Without that, or without the right to write there, there is none and affinity is all that holds a kernel.
 *
 * Threads join either before they run anything (pk-jail writes itself into `joinFiles`) or while the guest is stopped (add).
 */
import { setTimeout as delay } from 'node:timers/promises';
import { CGROUP, GROUP, type GroupState, groupState, removeGroup } from '../../sys/control-groups.ts';
import { formatCpuList } from '../../sys/cpu-list.ts';
import { asPolykernelError } from '../../sys/errors.ts';
import { errnoOf, type HostFiles, hostFiles } from '../../sys/host-files.ts';

export interface GroupSettings {
  cpus: readonly number[];
  /** Memory nodes; empty = all. */
  nodes: readonly number[];
  /** 1-10000, 100 = usual; null = usual. */
  weight: number | null;
  /** CPUs' worth of time at most; null = no bound. */
  mostCpus: number | null;
}

interface Hierarchy {
  version: 1 | 2;
  /** The group of the pool. */
  parent: string;
  /** Takes thread ids. */
  threads: 'tasks' | 'cgroup.threads';
  controllers: readonly ('cpuset' | 'cpu')[];
}

const HIERARCHIES: readonly Hierarchy[] = [
  { version: 2, parent: `${CGROUP}/${GROUP}`, threads: 'cgroup.threads', controllers: ['cpuset', 'cpu'] },
  { version: 1, parent: `${CGROUP}/cpuset/${GROUP}`, threads: 'tasks', controllers: ['cpuset'] },
  { version: 1, parent: `${CGROUP}/cpu/${GROUP}`, threads: 'tasks', controllers: ['cpu'] },
];
const SHOWN = [
  'cpuset.cpus',
  'cpuset.cpus.effective',
  'cpuset.mems',
  'cpuset.mems.effective',
  'cpu.weight',
  'cpu.shares',
  'cpu.max',
  'cpu.cfs_quota_us',
  'cpu.cfs_period_us',
];
/** A group is in use until the host kernel has let go of the last thread, a moment after its end was seen. */
const REMOVE_DEADLINE_MS = 2000;
const POLL_MS = 5;

/** Short, so that whoever has used up his part waits little for more of it. */
const PERIOD_US = 20_000;
/** The host kernel gives no less in a period. */
const LEAST_QUOTA_US = 1_000;
const LONGEST_PERIOD_US = 1_000_000;

/** Period and time in it, in microseconds. */
function bandwidth(cpus: number): [period: number, quota: number] {
  const period = Math.min(LONGEST_PERIOD_US, Math.max(PERIOD_US, Math.ceil(LEAST_QUOTA_US / cpus)));
  return [period, Math.max(LEAST_QUOTA_US, Math.round(cpus * period))];
}

/** CPUs' worth of time that groups as read() tells them may use at most; null = no bound, or nobody who could hold it. */
export function boundOf(groups: readonly GroupState[]): number | null {
  for (const { values } of groups) {
    const [quota, period] =
      values['cpu.max'] === undefined
        ? [Number(values['cpu.cfs_quota_us'] ?? -1), Number(values['cpu.cfs_period_us'])]
        : values['cpu.max'].split(' ').map(Number);
    if (quota !== undefined && quota > 0 && period) return quota / period;
  }
  return null;
}

export class InstanceGroups {
  readonly #host: HostFiles;

  constructor(host: HostFiles = hostFiles()) {
    this.#host = host;
  }

  /** Makes the group of kernel `id`, or changes it. Throws `permission` or `internal`, naming the file. */
  set(id: string, settings: GroupSettings): void {
    for (const hierarchy of this.#hierarchies()) {
      const group = `${hierarchy.parent}/${id}`;
      this.#host.makeDirectory(group);
      if (hierarchy.version === 2) this.#write(group, 'cgroup.type', 'threaded');
      for (const controller of hierarchy.controllers) {
        for (const [file, value] of this.#values(hierarchy, controller, id, settings)) this.#write(group, file, value);
      }
    }
  }

  /** Files into which a process of one thread writes itself to join. */
  joinFiles(id: string): string[] {
    return this.#hierarchies()
      .filter(({ parent }) => this.#exists(`${parent}/${id}`))
      .map(({ version, parent }) => `${parent}/${id}/${version === 1 ? 'tasks' : 'cgroup.procs'}`);
  }

  /**
   * Moves threads into the group. Those that have ended are passed over. `isThere`: asked just before each is moved, for its number may
   * be that of any program by then. Throws as set().
   */
  add(
    id: string,
    threads: readonly { pid: number; tid: number }[],
    isThere: (tid: number) => boolean = () => true,
  ): void {
    for (const { version, parent, threads: file } of this.#hierarchies()) {
      const group = `${parent}/${id}`;
      if (!this.#exists(group)) continue;
      const entered = new Set<number>();
      for (const { pid, tid } of version === 2 ? threads : []) {
        if (entered.has(pid) || !isThere(tid)) continue;
        entered.add(pid);
        this.#enterDomain(pid);
      }
      for (const { tid } of threads) if (isThere(tid)) this.#write(group, file, String(tid), 'ESRCH');
    }
  }

  /** Moves threads out of the group, to the root of its hierarchy, if there is a group. As add(). */
  expel(id: string, threads: readonly number[], isThere: (tid: number) => boolean = () => true): void {
    for (const { parent, threads: file } of this.#hierarchies()) {
      if (!this.#exists(`${parent}/${id}`)) continue;
      for (const tid of threads)
        if (isThere(tid)) this.#write(parent.slice(0, -GROUP.length - 1), file, String(tid), 'ESRCH');
    }
  }

  /** Threads that are in the group, of any hierarchy. */
  members(id: string): Set<number> {
    const lists = HIERARCHIES.map(({ parent, threads }) => this.#host.read(`${parent}/${id}/${threads}`) ?? '');
    return new Set(lists.flatMap((list) => list.match(/\d+/g) ?? []).map(Number));
  }

  /** What the host kernel says of the group now. */
  read(id: string): GroupState[] {
    return HIERARCHIES.flatMap(({ parent }) => groupState(this.#host, `${parent}/${id}`, SHOWN));
  }

  /** Removes the group, unless something still runs in it after a while: then it stays until it is lost (sys/lost-groups.ts). */
  async remove(id: string): Promise<void> {
    const deadline = performance.now() + REMOVE_DEADLINE_MS;
    for (const { parent } of this.#hierarchies()) {
      while (!removeGroup(this.#host, `${parent}/${id}`) && performance.now() < deadline) await delay(POLL_MS);
    }
  }

  /** Threads join a threaded group only from its own domain, which is the root group (cgroup-v2.rst, Threads). */
  #enterDomain(pid: number): void {
    const at = /^0::(.*)$/m.exec(this.#host.read(`/proc/${pid}/cgroup`) ?? '')?.[1] ?? '/';
    if (at === '/' || at.startsWith(`/${GROUP}/`)) return;
    this.#write(CGROUP, 'cgroup.procs', String(pid), 'ESRCH');
  }

  #hierarchies(): readonly Hierarchy[] {
    return HIERARCHIES.filter(({ parent }) => this.#exists(parent) && this.#host.isWritable(parent));
  }

  #exists(group: string): boolean {
    return (
      this.#host.read(`${group}/cgroup.procs`) !== undefined || this.#host.read(`${group}/cgroup.type`) !== undefined
    );
  }

  #values(hierarchy: Hierarchy, controller: 'cpuset' | 'cpu', id: string, settings: GroupSettings): [string, string][] {
    const { cpus, nodes } = settings;
    const weight = settings.weight ?? 100;
    if (controller === 'cpu') {
      // 100 of version 2 is 1024 of version 1, whose least is 2.
      const share: [string, string] =
        hierarchy.version === 2
          ? ['cpu.weight', String(weight)]
          : ['cpu.shares', String(Math.max(2, Math.round((weight * 1024) / 100)))];
      return [share, ...this.#bound(hierarchy, id, settings.mostCpus)];
    }
    // No list means all nodes in version 2 (an empty line: empty writes do not arrive), and takes no task in version 1.
    const all = hierarchy.version === 2 ? '\n' : (this.#host.read(`${hierarchy.parent}/cpuset.mems`) ?? '0');
    return [
      ['cpuset.mems', nodes.length > 0 ? formatCpuList(nodes) : all],
      ['cpuset.cpus', formatCpuList(cpus)],
    ];
  }

  /** Of one that had none it is left as it is: not every host kernel can bound. */
  #bound({ version, parent }: Hierarchy, id: string, mostCpus: number | null): [string, string][] {
    const [period, quota] = mostCpus === null ? [PERIOD_US, null] : bandwidth(mostCpus);
    if (version === 2) {
      const value = `${quota ?? 'max'} ${period}`;
      return quota === null && !this.#isBound(`${parent}/${id}/cpu.max`, /^max/) ? [] : [['cpu.max', value]];
    }
    if (quota === null && !this.#isBound(`${parent}/${id}/cpu.cfs_quota_us`, /^-1/)) return [];
    // A quota is judged against the period: it goes first and comes last.
    const values: [string, string][] = [
      ['cpu.cfs_quota_us', '-1'],
      ['cpu.cfs_period_us', String(period)],
    ];
    const isSame = this.#host.read(`${parent}/${id}/cpu.cfs_period_us`) === String(period);
    if (quota === null) return values;
    return [...(isSame ? [] : values), ['cpu.cfs_quota_us', String(quota)]];
  }

  #isBound(file: string, free: RegExp): boolean {
    const now = this.#host.read(file);
    return now !== undefined && now !== '' && !free.test(now);
  }

  #write(group: string, file: string, value: string, pardoned?: string): void {
    try {
      this.#host.write(`${group}/${file}`, value);
    } catch (error) {
      if (errnoOf(error) === pardoned) return;
      throw asPolykernelError(error, `writing ${value} to ${group}/${file}`);
    }
  }
}
