/** Where the threads of a launch run and where its memory is: moved by pk-shim's `pin`, read from the host's /proc. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { NodeMemory } from '../../ledger/types.ts';
import { parseCpuList } from '../../sys/cpu-list.ts';
import { PolykernelError } from '../../sys/errors.ts';
import { inTurns, type Slices } from '../../sys/slices.ts';
import { readMost } from '../../sys/small-file.ts';
import type { HostPlacement, RealPlacement } from '../driver.ts';
import { boundOf, InstanceGroups } from './instance-groups.ts';
import { findThreads, type HostThread, isThere, type LaunchThreads } from './launch-threads.ts';
import { askShim } from './shim.ts';

/**
 * That are looked at and then moved: in that time, a millisecond or two, one can end, and its number be another's. Their line stays below
 * the 4 KiB that the shim reads.
 */
const THREADS_AT_ONCE = 64;
/** More than a VMM needs by far. */
const NUMA_MAPS_BYTES = 2 ** 21;
/** An honest VMM takes two, or some more while it makes threads. */
const MOST_ROUNDS = 32;
/** A few milliseconds. */
const THREADS_PER_SLICE = 100;

export interface Target {
  /** CPUs of the thread of each vCPU; undefined = those of all other threads. */
  vcpus: readonly (readonly number[])[] | undefined;
  /** CPUs of all other threads. */
  others: readonly number[];
  /** Whether the vCPUs belong in the control groups of the kernel, or out of them. */
  grouped: boolean;
}

/**
 * Moves the threads of a launch, and goes on until none is left where it was. What a guest unplugs, or a VMM that was taken over calls
 * otherwise, keeps nothing where it was: a vCPU without a thread is passed over, and threads that are of no vCPU of `target` go with the
 * first where they are in the groups of the kernel, else with all others. What has ended by then is passed over. Throws `kernel-died`, `permission` or `internal` with the
 * reason of the host kernel, and `internal` where new ones never end.
 */
export async function moveThreads(
  directory: string,
  id: string,
  find: (threads: readonly HostThread[]) => LaunchThreads,
  target: Target,
): Promise<void> {
  const groups = new InstanceGroups();
  const done = new Set<number>();
  let known = new Map<number, HostThread>();
  const isKnown = (tid: number) => {
    const thread = known.get(tid);
    return thread !== undefined && isThere(thread);
  };
  const moveFresh = async (threads: readonly number[], cpus: readonly number[], place: (fresh: number[]) => void) => {
    // On the way, threads that have been moved make others: those are where they belong, and a guest that goes on making
    // them must not keep us. A thread that one not yet moved had made is found in the next round.
    const first = done.size === 0;
    const fresh = threads.filter((thread) => !done.has(thread) && (first || !isOn(thread, cpus)));
    for (let at = 0; at < fresh.length; at += THREADS_AT_ONCE) {
      const next = fresh.slice(at, at + THREADS_AT_ONCE);
      // Joining a cpuset sets the affinity to all of it, so the pin comes after.
      place(next);
      const there = next.filter(isKnown);
      if (there.length > 0) await pinThreads(directory, there, cpus);
    }
    return fresh.length;
  };
  for (let moved = 1, rounds = 0; moved > 0; rounds++) {
    if (rounds === MOST_ROUNDS) throw restless();
    moved = 0;
    const all = await inTurns(findThreads(directory));
    known = new Map(all.map((thread) => [thread.tid, thread]));
    const found = find(all);
    const vcpus = found.vcpus.slice(0, target.vcpus?.length);
    const rest = [...found.vcpus.slice(vcpus.length).flat(), ...found.others];
    const place = (threads: number[]) => {
      if (!target.grouped) return groups.expel(id, threads, isKnown);
      const joining = threads.flatMap((tid) => known.get(tid) ?? []);
      groups.add(id, joining, isKnown);
    };
    for (const [index, threads] of vcpus.entries())
      moved += await moveFresh(threads, target.vcpus?.[index] ?? target.others, place);
    // No other CPUs can be had in there.
    const members = groups.members(id);
    const [strays, others] = [true, false].map((isIn) => rest.filter((tid) => members.has(tid) === isIn));
    moved += await moveFresh(strays!, (target.grouped ? target.vcpus?.[0] : undefined) ?? target.others, place);
    moved += await moveFresh(others!, target.others, () => {});
    for (const thread of [...vcpus.flat(), ...rest]) done.add(thread);
  }
}

const restless = () =>
  new PolykernelError('internal', 'the kernel goes on making threads that are where they do not belong', {
    field: 'placement',
    hint: 'Its VMM may have been taken over: treat it as hostile, and remove it.',
  });

/** Binds threads to `cpus`; those that have ended are passed over. Throws `internal` with the host kernel's reason. */
async function pinThreads(directory: string, threads: readonly number[], cpus: readonly number[]): Promise<void> {
  const answer = (await askShim(directory, `pin ${cpus.join(',')} ${threads.join(' ')}`)).trim();
  if (answer === 'ok') return;
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

/** Makes the control groups that `placement` needs, if the pool has any. Throws `permission` or `internal`. */
export function makeGroups(id: string, placement: HostPlacement): void {
  const { vcpuCpus, memory, weight, mostCpus } = placement;
  new InstanceGroups().set(id, {
    cpus: vcpuCpus,
    nodes: memory.map(({ node }) => node),
    weight,
    mostCpus: mostCpus ?? null,
  });
}

/** What is real now. `proc`: for tests. */
export async function realPlacement(
  id: string,
  threads: LaunchThreads,
  proc = '/proc',
): Promise<Omit<RealPlacement, 'limits'>> {
  const vcpus: number[][] = [];
  for (const tids of threads.vcpus) vcpus.push(await inTurns(allowedTo(tids, proc)));
  return {
    vcpus,
    others: await inTurns(allowedTo(threads.others, proc)),
    ...residentMemory(threads.vmm),
    ...groupsOf(id),
  };
}

/** The CPUs that any of some threads may run on. A VMM has as many threads as it likes: everything else goes on in between. */
function* allowedTo(tids: readonly number[], proc: string): Slices<number[]> {
  const cpus = new Set<number>();
  for (const [index, tid] of tids.entries()) {
    if (index % THREADS_PER_SLICE === THREADS_PER_SLICE - 1) yield;
    for (const cpu of cpusOf(tid, proc)) cpus.add(cpu);
  }
  return [...cpus].sort((a, b) => a - b);
}

function groupsOf(id: string): Pick<RealPlacement, 'mostCpus' | 'groups'> {
  const groups = new InstanceGroups().read(id);
  return { mostCpus: boundOf(groups), groups };
}

/** CPUs a thread may run on; none when it has ended. */
function cpusOf(tid: number, proc = '/proc'): number[] {
  const cpus = /^Cpus_allowed_list:\s*(\S+)$/m.exec(read(`${proc}/${tid}/status`) ?? '')?.[1];
  return cpus === undefined ? [] : parseCpuList(cpus);
}

/** True also for a thread that has ended. */
function isOn(tid: number, cpus: readonly number[]): boolean {
  const now = cpusOf(tid);
  return now.length === 0 || (now.length === cpus.length && now.every((cpu) => cpus.includes(cpu)));
}

/** Nodes of the host that have memory; a kernel without NUMA has one. */
export function memoryNodes(): number[] {
  return parseCpuList(read('/sys/devices/system/node/has_memory') ?? '0');
}

/**
 * Memory of a process by node: from numa_maps (proc_pid_numa_maps(5)), which counts pages by mapping, each in its own page
 * size. Where all is on one node from status, which has sums: a VMM can have any number of mappings, and keep others from
 * reading them. Null where neither may be read, or there are more mappings than a VMM needs.
 */
export function residentMemory(
  pid: number,
  proc = '/proc',
  nodes: readonly number[] = memoryNodes(),
): Pick<RealPlacement, 'memory' | 'hugePageBytes'> {
  const maps = nodes.length > 1 ? readMost(join(proc, String(pid), 'numa_maps'), NUMA_MAPS_BYTES) : undefined;
  // Of which node the rest would be, nobody knows.
  if (maps?.length === NUMA_MAPS_BYTES) return { memory: null, hugePageBytes: null };
  if (maps !== undefined && maps !== '') return fromNumaMaps(maps);
  const status = read(join(proc, String(pid), 'status')) ?? '';
  if (!status.includes('\nVmRSS:')) return { memory: null, hugePageBytes: null };
  const hugePageBytes = sumOf(status, /^HugetlbPages:\s+(\d+) kB$/gm);
  // It leaves huge pages out.
  const bytes = sumOf(status, /^VmRSS:\s+(\d+) kB$/gm) + hugePageBytes;
  return { memory: [{ node: nodes[0] ?? 0, bytes }], hugePageBytes };
}

function fromNumaMaps(maps: string): Pick<RealPlacement, 'memory' | 'hugePageBytes'> {
  const nodes = new Map<number, number>();
  let hugePageBytes = 0;
  for (const line of maps.split('\n')) {
    const pageBytes = Number(/ kernelpagesize_kB=(\d+)/.exec(line)?.[1] ?? 4) * 1024;
    for (const [, node, pages] of line.matchAll(/ N(\d+)=(\d+)/g)) {
      const bytes = Number(pages) * pageBytes;
      nodes.set(Number(node), (nodes.get(Number(node)) ?? 0) + bytes);
      if (/ huge( |$)/.test(line)) hugePageBytes += bytes;
    }
  }
  const memory = [...nodes].map(([node, bytes]): NodeMemory => ({ node, bytes })).sort((a, b) => a.node - b.node);
  return { memory, hugePageBytes };
}

/** Bytes out of lines in kB. */
const sumOf = (text: string, lines: RegExp): number =>
  [...text.matchAll(lines)].reduce((sum, [, kilobytes]) => sum + Number(kilobytes) * 1024, 0);

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return undefined;
  }
}
