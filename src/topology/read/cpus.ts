/** CPUs and where they sit, from sys/devices/system/cpu (Documentation/admin-guide/cputopology.rst). */
import { PolykernelError } from '../../sys/errors.ts';
import type { Cpu } from '../topology.ts';
import { type CpuinfoEntry, readCpuinfo } from './cpuinfo.ts';
import { type CpuFacts, place } from './place.ts';
import type { Look, SetReader } from './sets.ts';

const CPU = 'sys/devices/system/cpu';

export interface CpuSources extends Look {
  sets: SetReader;
  /** As the user wrote it, for messages. */
  root: string;
}

/** NUMA node of each CPU that is in one. */
export type NodeOfCpu = ReadonlyMap<number, number>;

/** Ids of all present CPUs, ascending. Throws `not-found` when nothing below the root tells of any. */
export function presentCpus({ files, warnings, sets, root }: CpuSources): number[] {
  const directories = files
    .names(CPU)
    .flatMap((name) => (/^cpu\d{1,5}$/.test(name) ? [Number(name.slice(3))] : []))
    .sort((a, b) => a - b);
  const listed = sets.read(CPU, 'present') ?? [];
  if (listed.length > 0 && directories.length > 0) {
    const exists = new Set(directories);
    const both = listed.filter((id) => exists.has(id));
    if (both.length < listed.length) {
      warnings.add(`${CPU}/present names CPUs without a directory; only those with one are taken.`);
    }
    return both.length > 0 ? both : directories;
  }
  if (directories.length > 0) {
    warnings.add(`${CPU}/present says nothing; the CPUs with a directory are taken.`);
    return directories;
  }
  const known = listed.length > 0 ? [...listed] : [...readCpuinfo(files).keys()].sort((a, b) => a - b);
  if (known.length === 0) {
    throw new PolykernelError('not-found', `${root} holds no machine: neither ${CPU}/cpu0 nor a CPU in proc/cpuinfo`, {
      field: 'root',
      value: root,
      hint: 'Give `/`, or a directory with the sys/ and proc/ of another machine; docs/topology.md says how to take one.',
    });
  }
  warnings.add(
    `${CPU} has no CPU directories; the CPUs are those of ${listed.length > 0 ? 'present' : 'proc/cpuinfo'}.`,
  );
  return known;
}

/** Every present CPU. */
export function readCpus(sources: CpuSources, present: readonly number[], nodeOf: NodeOfCpu): Cpu[] {
  return place(withPackages(sources, readFacts(sources, present, nodeOf)), sources.warnings);
}

type Read = Omit<CpuFacts, 'package'> & { package: number | null; book: string };

function readFacts(sources: CpuSources, present: readonly number[], nodeOf: NodeOfCpu): Read[] {
  const { files, warnings, sets } = sources;
  const isPresent = new Set(present);
  const online = onlineCpus(sources, present);
  const isolated = new Set(sets.read(CPU, 'isolated') ?? []);
  const performance = new Set(sets.read('sys/devices/cpu_core', 'cpus') ?? []);
  const efficiency = new Set(sets.read('sys/devices/cpu_atom', 'cpus') ?? []);
  const cpuinfo = once(() => readCpuinfo(files));
  const cores = once(() => coresOf(cpuinfo()));
  const known = new Set(nodeOf.values());
  const clamped = new Map<readonly number[], ReadonlySet<number>>();

  /** A set of present CPUs with `id` in it; the same object for the same text. */
  const setWith = (id: number, directory: string, ...names: string[]): ReadonlySet<number> | undefined => {
    const cpus = sets.read(directory, ...names);
    if (cpus === undefined) return undefined;
    let set = clamped.get(cpus);
    if (set === undefined) {
      set = new Set(cpus.filter((cpu) => isPresent.has(cpu)));
      clamped.set(cpus, set);
    }
    if (set.has(id)) return set;
    warnings.cpu(id, `${names[0]} does not hold the CPU itself; it is ignored.`);
    return new Set([id]);
  };

  const facts = present.map((id): Read => {
    const directory = `${CPU}/cpu${id}`;
    const topology = `${directory}/topology`;
    const isOnline = online.has(id);
    let core = setWith(id, topology, 'core_cpus_list', 'core_cpus', 'thread_siblings_list', 'thread_siblings');
    if (core === undefined && isOnline) core = siblingsFromCpuinfo(cpuinfo(), cores(), id, isPresent);
    if (core === undefined) {
      warnings.cpu(
        id,
        isOnline
          ? 'nothing says which core this is; a core of its own is assumed.'
          : 'offline, so the kernel does not say which core this is; a core of its own is assumed.',
      );
    }
    const packageId = files.integer(`${topology}/physical_package_id`) ?? -1;
    return {
      id,
      online: isOnline,
      isolated: isolated.has(id),
      // -1: firmware that names no packages (some arm64, ppc64 under a hypervisor).
      package: packageId >= 0 ? packageId : (cpuinfo().get(id)?.package ?? null),
      book: `${files.integer(`${topology}/drawer_id`) ?? ''}/${files.integer(`${topology}/book_id`) ?? ''}`,
      node: nodeOf.get(id) ?? (isOnline ? null : offlineNode(sources, directory, known)),
      type: performance.has(id) ? 'performance' : efficiency.has(id) ? 'efficiency' : null,
      capacity: readCapacity(sources, id),
      core: core ?? new Set([id]),
      cluster: setWith(id, topology, 'cluster_cpus_list', 'cluster_cpus'),
      die: setWith(id, topology, 'die_cpus_list', 'die_cpus'),
    };
  });
  return performance.size + efficiency.size > 0 ? facts : typesByCapacity(facts);
}

function onlineCpus({ files, warnings, sets }: CpuSources, present: readonly number[]): Set<number> {
  const listed = sets.read(CPU, 'online');
  const isPresent = new Set(present);
  const online = listed?.filter((id) => isPresent.has(id)) ?? [];
  if (online.length > 0) return new Set(online);
  // cpu0 has no such file where it cannot go offline.
  const each = present.filter((id) => files.integer(`${CPU}/cpu${id}/online`) !== 0);
  if (listed !== undefined || each.length === 0) {
    warnings.add(`${CPU}/online names no CPU that is present; those whose own file does not say 0 are taken.`);
  }
  return new Set(each.length > 0 ? each : present);
}

/** x86 without sysfs topology. undefined when cpuinfo does not place the CPU. */
function siblingsFromCpuinfo(
  cpuinfo: ReadonlyMap<number, CpuinfoEntry>,
  cores: ReadonlyMap<string, readonly number[]>,
  id: number,
  isPresent: ReadonlySet<number>,
): ReadonlySet<number> | undefined {
  const own = cpuinfo.get(id);
  if (own === undefined || own.core === null || own.package === null) return undefined;
  return new Set(cores.get(coreKey(own))!.filter((other) => isPresent.has(other)));
}

const coreKey = (entry: CpuinfoEntry): string => `${entry.package}/${entry.core}`;

/** CPUs by core, so that a machine of many CPUs is not searched for each of them. */
function coresOf(cpuinfo: ReadonlyMap<number, CpuinfoEntry>): Map<string, number[]> {
  const cores = new Map<string, number[]>();
  for (const entry of cpuinfo.values()) {
    const cpus = cores.get(coreKey(entry));
    if (cpus === undefined) cores.set(coreKey(entry), [entry.id]);
    else cpus.push(entry.id);
  }
  return cores;
}

/** The link cpuN/nodeM outlives the CPU's going offline, while nodeM/cpulist no longer names it. */
function offlineNode({ files }: CpuSources, directory: string, known: ReadonlySet<number>): number | null {
  const names = files.names(directory).filter((name) => /^node\d{1,5}$/.test(name));
  const node = names.length === 1 ? Number(names[0]!.slice(4)) : null;
  return node !== null && known.has(node) ? node : null;
}

/** arm64, riscv, and x86 with cores of several types: 1-1024 (Documentation/scheduler/sched-capacity.rst). */
function readCapacity({ files, warnings }: CpuSources, id: number): number | null {
  const path = `${CPU}/cpu${id}/cpu_capacity`;
  const text = files.text(path, 64);
  if (text === undefined) return null;
  const capacity = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (capacity >= 1 && capacity <= 1024) return capacity;
  warnings.cpu(id, 'cpu_capacity is no number from 1 to 1024; it is ignored.');
  return null;
}

/** Where only capacities tell cores apart (arm64 big.LITTLE), the weakest are the efficient ones. */
function typesByCapacity(facts: Read[]): Read[] {
  const capacities = facts.flatMap(({ capacity }) => (capacity === null ? [] : [capacity]));
  const least = capacities.reduce((a, b) => Math.min(a, b), 1024);
  if (capacities.every((capacity) => capacity === least)) return facts;
  return facts.map((cpu) =>
    cpu.capacity === null ? cpu : { ...cpu, type: cpu.capacity === least ? 'efficiency' : 'performance' },
  );
}

/** Fills in packages nobody names, and tells apart those that s390 numbers anew in every book. */
function withPackages({ warnings }: CpuSources, facts: readonly Read[]): CpuFacts[] {
  const books = new Map<number, Set<string>>();
  for (const { package: id, book } of facts) {
    if (id !== null) books.set(id, (books.get(id) ?? new Set()).add(book));
  }
  const repeated = [...books.values()].some((set) => set.size > 1);
  const numbers = new Map<string, number>();
  const numberOf = (id: number, book: string): number => {
    if (!repeated) return id;
    const key = `${book}/${id}`;
    const number = numbers.get(key) ?? numbers.size;
    numbers.set(key, number);
    return number;
  };
  const known = new Map<number, number>();
  for (const { id, package: pkg, book } of facts) if (pkg !== null) known.set(id, numberOf(pkg, book));
  const all = new Set(known.values());
  const ofNode = new Map<number, Set<number>>();
  for (const { id, node } of facts) {
    const pkg = known.get(id);
    if (node !== null && pkg !== undefined) ofNode.set(node, (ofNode.get(node) ?? new Set()).add(pkg));
  }
  return facts.map((cpu) => {
    const own = known.get(cpu.id);
    if (own !== undefined) return { ...cpu, package: own };
    // An offline CPU's node is known more often than its package.
    const candidates = (cpu.node === null ? undefined : ofNode.get(cpu.node)) ?? all;
    const [guess = 0] = candidates;
    if (candidates.size !== 1)
      warnings.cpu(cpu.id, `nothing says which package this is in; package ${guess} is assumed.`);
    return { ...cpu, package: guess };
  });
}

function once<T>(make: () => T): () => T {
  let made: { value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}
