/** Caches, from cpuN/cache (Documentation/ABI/testing/sysfs-devices-system-cpu). A shared one is read once. */
import type { Cache, Cpu } from '../topology.ts';
import type { CpuSources } from './cpus.ts';

const TYPES: ReadonlyMap<string, Cache['type']> = new Map([
  ['Data', 'data'],
  ['Instruction', 'instruction'],
  ['Unified', 'unified'],
]);

/** In Cache order. Of a CPU that is in two caches of one level and type, the one seen first counts. */
export function readCaches(sources: CpuSources, cpus: readonly Cpu[]): Cache[] {
  const { files, warnings } = sources;
  const caches: Cache[] = [];
  const present = new Set(cpus.map(({ id }) => id));
  /** CPUs whose cache of this kind is known, and those whose file indexN need not be read. */
  const claimed = new Map<string, Set<number>>();
  const seen = new Map<string, Set<number>>();
  for (const cpu of cpus) {
    if (!cpu.online) continue;
    const directory = `sys/devices/system/cpu/cpu${cpu.id}/cache`;
    for (const index of files.names(directory)) {
      if (!/^index\d{1,2}$/.test(index) || seen.get(index)?.has(cpu.id)) continue;
      const path = `${directory}/${index}`;
      const level = files.integer(`${path}/level`) ?? 0;
      const type = TYPES.get(files.text(`${path}/type`) ?? '');
      if (level < 1 || level > 9 || type === undefined) {
        warnings.cpu(cpu.id, `cache/${index} does not say its level and type; it is left out.`);
        continue;
      }
      const shared = sharers(sources, cpus, present, cpu, path, level).filter((id) => present.has(id));
      const taken = setOf(claimed, `${level} ${type}`);
      const own = shared.filter((id) => !taken.has(id));
      if (own.length < shared.length) {
        warnings.cpu(
          cpu.id,
          `cache/${index} is said to be shared with CPUs that have another L${level}; they are left out.`,
        );
      }
      const skip = setOf(seen, index);
      for (const id of own) {
        taken.add(id);
        skip.add(id);
      }
      if (own.length === 0) continue;
      const lineBytes = files.integer(`${path}/coherency_line_size`) ?? 0;
      caches.push({
        level,
        type,
        sizeBytes: size(sources, path),
        lineBytes: lineBytes > 0 ? lineBytes : null,
        cpus: own,
      });
    }
  }
  return caches.sort(
    (a, b) => a.level - b.level || (a.type < b.type ? -1 : a.type > b.type ? 1 : 0) || a.cpus[0]! - b.cpus[0]!,
  );
}

function sharers(
  sources: CpuSources,
  cpus: readonly Cpu[],
  present: ReadonlySet<number>,
  cpu: Cpu,
  path: string,
  level: number,
): readonly number[] {
  const listed = sources.sets.pair(
    path,
    ['shared_cpu_list', 'shared_cpu_map'],
    (set) => set.includes(cpu.id) && set.every((id) => present.has(id)),
    (what) => sources.warnings.cpu(cpu.id, `cache L${level}: ${what}`),
  );
  if (listed === undefined) {
    // Small caches belong to a core, large ones to a package, on nearly every machine.
    const same =
      level < 3 ? cpus.filter(({ core }) => core === cpu.core) : cpus.filter((other) => other.package === cpu.package);
    const what = level < 3 ? 'its core' : 'its package';
    sources.warnings.cpu(cpu.id, `nothing says who shares its L${level}; ${what} is assumed.`);
    return same.map(({ id }) => id);
  }
  return listed.includes(cpu.id) ? listed : [cpu.id];
}

/** `48K`; 0 where nothing says it. */
function size({ files, warnings }: CpuSources, path: string): number {
  const text = files.text(`${path}/size`, 64);
  const match = /^(\d{1,9})([KMG]?)$/.exec(text ?? '');
  if (match !== null)
    return Number(match[1]) * { '': 1, K: 1024, M: 1024 ** 2, G: 1024 ** 3 }[match[2] as '' | 'K' | 'M' | 'G'];
  warnings.add(`${path}/size is no size; 0 is taken.`);
  return 0;
}

function setOf(sets: Map<string, Set<number>>, key: string): Set<number> {
  const known = sets.get(key);
  if (known !== undefined) return known;
  const fresh = new Set<number>();
  sets.set(key, fresh);
  return fresh;
}
