/**
 * Where the threads of a launch run and where its memory is: moved by pk-shim's `pin`, read from the host's /proc.
 * Thread numbers are the host's; those that a VMM knows are its jail's.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { InstanceGroups } from '../host/index.ts';
import type { NodeMemory } from '../ledger/types.ts';
import { parseCpuList } from '../sys/cpu-list.ts';
import { PolykernelError } from '../sys/errors.ts';
import type { HostPlacement, RealPlacement } from './driver.ts';
import { askShim } from './shim.ts';
import { readShimProcess } from './shim-process.ts';

/** Threads of a launch on the host. */
export interface LaunchThreads {
  /** Threads of each vCPU, in vCPU order. UML has no vCPU thread: all processes of its kernel take the place of one. */
  vcpus: readonly (readonly number[])[];
  /** All other threads: of the shim, the jail and the VMM. */
  others: readonly number[];
  /** The VMM's main process, which maps the guest's memory. */
  vmm: number;
}

export interface HostThread {
  pid: number;
  tid: number;
  /** As /proc has it. */
  name: string;
}

/** Told apart by name: QEMU with debug-threads=on calls a vCPU's thread `CPU 0/KVM` or `CPU 0/TCG`. */
export function qemuThreads(threads: readonly HostThread[]): LaunchThreads {
  const vcpus: number[][] = [];
  const others: number[] = [];
  for (const { tid, name } of threads) {
    const vcpu = /^CPU (\d{1,4})\//.exec(name)?.[1];
    if (vcpu === undefined) others.push(tid);
    else vcpus[Number(vcpu)] = [tid];
  }
  return { vcpus, others, vmm: threads.find(({ name }) => name.startsWith('CPU '))?.pid ?? 0 };
}

/** Whatever is neither shim nor jail is the one CPU of the guest: its kernel, its processes, its helpers. */
export function umlThreads(threads: readonly HostThread[]): LaunchThreads {
  const isOuter = ({ name }: HostThread) => name === 'pk-shim' || name === 'bwrap';
  const inner = threads.filter((thread) => !isOuter(thread));
  const others = threads.filter(isOuter).map(({ tid }) => tid);
  return { vcpus: [inner.map(({ tid }) => tid)], others, vmm: inner[0]?.pid ?? 0 };
}

/** Every thread of the shim of `directory` and of what it started, parents before children. Throws `kernel-died` when there is none. */
export function launchThreads(directory: string): HostThread[] {
  const shim = readShimProcess(directory);
  if (shim === undefined) throw new PolykernelError('kernel-died', `no kernel runs in ${directory}`);
  const children = new Map<number, number[]>();
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const parent = parentOf(Number(entry));
    if (parent !== undefined) children.set(parent, [...(children.get(parent) ?? []), Number(entry)]);
  }
  const threads: HostThread[] = [];
  for (const pids = [shim.pid]; pids.length > 0; ) {
    const pid = pids.shift()!;
    pids.push(...(children.get(pid) ?? []));
    for (const tid of list(`/proc/${pid}/task`)) {
      const name = read(`/proc/${pid}/task/${tid}/comm`);
      if (name !== undefined) threads.push({ pid, tid: Number(tid), name: name.trim() });
    }
  }
  return threads;
}

function parentOf(pid: number): number | undefined {
  const stat = read(`/proc/${pid}/stat`);
  return stat === undefined ? undefined : Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
}

/** Binds threads to `cpus`; those that have ended are passed over. Throws `permission` or `internal` with the kernel's reason. */
export async function pinThreads(
  directory: string,
  threads: readonly number[],
  cpus: readonly number[],
): Promise<void> {
  // The shim reads a line of at most 4 KiB.
  for (let first = 0; first < threads.length; first += 256) {
    const line = `pin ${cpus.join(',')} ${threads.slice(first, first + 256).join(' ')}`;
    const answer = (await askShim(directory, line)).trim();
    if (answer === 'ok') continue;
    const reason = answer.replace(/^error /, '') || 'the kernel ended meanwhile';
    throw new PolykernelError(
      'internal',
      `the host kernel does not let threads run on CPUs ${cpus.join(',')}: ${reason}`,
      {
        field: 'placement',
        value: cpus,
        hint: 'See whether these CPUs are online and allowed to the daemon.',
      },
    );
  }
}

/**
 * Moves a launch: the threads of each vCPU to `vcpus`, or with the rest to `others` when that is undefined. Threads that
 * own CPUs join the kernel's control groups on the way. Throws as pinThreads(), and `invalid` for another number of vCPUs.
 */
export async function moveThreads(
  directory: string,
  id: string,
  find: (threads: readonly HostThread[]) => LaunchThreads,
  target: { vcpus: readonly (readonly number[])[] | undefined; others: readonly number[] },
): Promise<void> {
  const groups = new InstanceGroups();
  const done = new Set<number>();
  const move = async (threads: readonly number[], cpus: readonly number[], joins: boolean) => {
    const fresh = threads.filter((thread) => !done.has(thread));
    if (fresh.length === 0) return false;
    for (const thread of fresh) done.add(thread);
    // Joining a cpuset sets the affinity to all of it, so the pin comes after.
    if (joins) groups.add(id, fresh);
    await pinThreads(directory, fresh, cpus);
    return true;
  };
  // A thread that was made while others were moved has its maker's old place: look until there is no new one.
  for (let moved = true; moved; ) {
    moved = false;
    const { vcpus, others } = find(launchThreads(directory));
    if (target.vcpus !== undefined && vcpus.length !== target.vcpus.length) {
      throw new PolykernelError('invalid', `the kernel has ${vcpus.length} vCPUs, not ${target.vcpus.length}`, {
        field: 'placement.vcpuCpus',
        value: target.vcpus,
      });
    }
    for (const [index, threads] of vcpus.entries()) {
      const cpus = target.vcpus?.[index];
      moved = (await move(threads, cpus ?? target.others, cpus !== undefined)) || moved;
    }
    moved = (await move(others, target.others, false)) || moved;
  }
}

/** Makes the control groups that `placement` needs, if the pool has any. Throws `permission` or `internal`. */
export function makeGroups(id: string, placement: HostPlacement): void {
  const { vcpuCpus, memory, weight } = placement;
  new InstanceGroups().set(id, { cpus: vcpuCpus, nodes: memory.map(({ node }) => node), weight });
}

/** What is real now. Throws `kernel-died`. */
export function realPlacement(id: string, threads: LaunchThreads): RealPlacement {
  const allowed = (tids: readonly number[]) => [...new Set(tids.flatMap(cpusOf))].sort((a, b) => a - b);
  return {
    vcpus: threads.vcpus.map(allowed),
    others: allowed(threads.others),
    ...residentMemory(threads.vmm),
    groups: new InstanceGroups().read(id),
  };
}

function cpusOf(tid: number): number[] {
  const cpus = /^Cpus_allowed_list:\s*(\S+)$/m.exec(read(`/proc/${tid}/status`) ?? '')?.[1];
  return cpus === undefined ? [] : parseCpuList(cpus);
}

/** From numa_maps (Documentation/filesystems/proc.rst): pages on each node, by mapping, each in its own page size. */
export function residentMemory(pid: number, proc = '/proc'): Pick<RealPlacement, 'memory' | 'hugePageBytes'> {
  const maps = read(join(proc, String(pid), 'numa_maps'));
  if (maps === undefined || maps === '') return { memory: null, hugePageBytes: null };
  const nodes = new Map<number, number>();
  let huge = 0;
  for (const line of maps.split('\n')) {
    const pageBytes = Number(/ kernelpagesize_kB=(\d+)/.exec(line)?.[1] ?? 4) * 1024;
    for (const [, node, pages] of line.matchAll(/ N(\d+)=(\d+)/g)) {
      const bytes = Number(pages) * pageBytes;
      nodes.set(Number(node), (nodes.get(Number(node)) ?? 0) + bytes);
      if (/ huge( |$)/.test(line)) huge += bytes;
    }
  }
  const memory = [...nodes].map(([node, bytes]): NodeMemory => ({ node, bytes })).sort((a, b) => a.node - b.node);
  return { memory, hugePageBytes: huge };
}

function list(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return undefined;
  }
}
