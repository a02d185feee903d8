/** CPUs and where they sit, from sys/devices/system/cpu (Documentation/admin-guide/cputopology.rst). */
import { PolykernelError } from '../../sys/errors.ts';
import type { Cpu } from '../topology.ts';
import { type CpuinfoEntry, hasApicIds, readCpuinfo } from './cpuinfo.ts';
import { type PackageFacts, packagesOf } from './packages.ts';
import { type CpuFacts, place } from './place.ts';
import type { Look, SetReader } from './sets.ts';

const CPU = 'sys/devices/system/cpu';

export interface CpuSources extends Look {
  sets: SetReader;
  /** As the user wrote it, for messages. */
  root: string;
  /** As `uname -m`. */
  architecture: string;
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
  const facts = readFacts(sources, present, nodeOf);
  const packages = packagesOf(facts, /^(x86_64|i686)$/.test(sources.architecture), sources.warnings);
  return place(
    facts.map((cpu) => ({ ...cpu, package: packages.get(cpu.id)! })),
    sources.warnings,
  );
}

/** The same set as a list and as a mask. */
type Pair = readonly [list: string, mask: string];
const CORE: Pair = ['core_cpus_list', 'core_cpus'];
const CLUSTER: Pair = ['cluster_cpus_list', 'cluster_cpus'];
const DIE: Pair = ['die_cpus_list', 'die_cpus'];
const PACKAGE: Pair = ['package_cpus_list', 'package_cpus'];
/** As Linux called them before 5.2. */
const THREADS: Pair = ['thread_siblings_list', 'thread_siblings'];
const SIBLINGS: Pair = ['core_siblings_list', 'core_siblings'];

type Read = Omit<CpuFacts, 'package'> & PackageFacts;

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

  /** Whether CPU `id` may share `names` with all of these: it is one of them, all are there, and they say the same. */
  const isPossible = (id: number, names: Pair, cpus: readonly number[]): boolean =>
    cpus.includes(id) &&
    cpus.every((other) => {
      if (other === id || !isPresent.has(other)) return other === id;
      const theirs = names.map((name) => sets.read(`${CPU}/cpu${other}/topology`, name)?.join());
      return theirs.every((text) => text === undefined) || theirs.includes(cpus.join());
    });

  /** A set of present CPUs with `id` in it, of the first pair of files that there is; the same object for the same text. */
  const lists = new Map<string, readonly number[]>();
  const setWith = (id: number, directory: string, ...pairs: Pair[]): ReadonlySet<number> | undefined => {
    const found = firstOf(pairs, (names) => {
      const set = sets.pair(
        directory,
        names,
        (cpus) => isPossible(id, names, cpus),
        (what) => warnings.cpu(id, what),
        // On a large machine to read masks as well takes half as long again.
        (cpus) => {
          lists.set(`${names[0]} ${id}`, cpus);
          return cpus[0] !== id && lists.get(`${names[0]} ${cpus[0]}`) === cpus;
        },
      );
      return set && { cpus: set, names };
    });
    if (found === undefined) return undefined;
    const { cpus, names } = found;
    let set = clamped.get(cpus);
    if (set === undefined) {
      set = new Set(cpus.filter((cpu) => isPresent.has(cpu)));
      clamped.set(cpus, set);
    }
    if (set.has(id)) return set;
    warnings.cpu(id, `${names[0]} does not hold the CPU itself; it is ignored.`);
    return new Set([id]);
  };

  const apicIds = hasApicIds(files) ? cpuinfo() : undefined;
  const facts = present.map((id): Read => {
    const directory = `${CPU}/cpu${id}`;
    const topology = `${directory}/topology`;
    const isOnline = online.has(id);
    let core = setWith(id, topology, CORE, THREADS);
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
      apicId: apicIds?.get(id)?.apicId ?? undefined,
      core: core ?? new Set([id]),
      cluster: setWith(id, topology, CLUSTER),
      die: setWith(id, topology, DIE),
      siblings: setWith(id, topology, PACKAGE, SIBLINGS),
    };
  });
  if (performance.size + efficiency.size > 0) return facts;
  const typed = typesByCapacity(facts);
  return typed.some(({ type }) => type !== null) ? typed : typesByFrequency(sources, facts);
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

/** Cores of one type differ by a few per cent at most (favoured cores); those of another by more. */
const SAME_TYPE = 1.1;

/** Where nothing else tells cores apart, what cpufreq says they reach: the slowest are the efficient ones. */
function typesByFrequency({ files }: CpuSources, facts: Read[]): Read[] {
  const frequencyOf = (id: number) => files.integer(`${CPU}/cpu${id}/cpufreq/cpuinfo_max_freq`);
  const first = facts.find(({ online }) => online);
  if (first === undefined || frequencyOf(first.id) === undefined) return facts;
  const known = new Map(
    facts.flatMap(({ id }) => {
      const kHz = frequencyOf(id) ?? 0;
      return kHz > 0 ? [[id, kHz] as const] : [];
    }),
  );
  const rates = [...known.values()].sort((a, b) => a - b);
  const [least = 0, most = 0] = [rates[0], rates.at(-1)];
  if (most <= least * SAME_TYPE) return facts;
  return facts.map((cpu) => {
    const kHz = known.get(cpu.id);
    if (kHz === undefined) return cpu;
    return { ...cpu, type: kHz <= least * SAME_TYPE ? 'efficiency' : 'performance' };
  });
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

function firstOf<A, B>(all: readonly A[], read: (each: A) => B | undefined): B | undefined {
  for (const each of all) {
    const found = read(each);
    if (found !== undefined) return found;
  }
  return undefined;
}

function once<T>(make: () => T): () => T {
  let made: { value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}
