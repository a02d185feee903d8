/** What a cpuset or memory control group keeps from the process that looked: cgroup v1 and v2. */
import type { Topology } from '../topology.ts';
import { controlGroups, type Hierarchy } from './cgroups.ts';
import type { CpuSources } from './cpus.ts';

/**
 * Null where nothing limits. Affinity counts only where no cpuset can be seen: a process may widen its own affinity again
 * up to its cpuset, so it is no limit of what can be used.
 */
export function readLimits(
  sources: CpuSources,
  online: readonly number[],
  nodes: readonly { id: number; memoryBytes: number }[],
): Topology['limits'] {
  const { cpuset, memory } = controlGroups(sources.files);
  const ids = nodes.map(({ id }) => id);
  return {
    cpus: narrower(nearest(sources, cpuset, CPU_FILES) ?? allowed(sources, cpuset, 'Cpus_allowed_list'), online),
    nodes: narrower(nearest(sources, cpuset, NODE_FILES) ?? allowed(sources, cpuset, 'Mems_allowed_list'), ids),
    memoryBytes: memoryLimit(
      sources,
      memory,
      nodes.reduce((sum, { memoryBytes }) => sum + memoryBytes, 0),
    ),
  };
}

/** The effective set where there is one; v1 without `effective` and the cpuset file system without prefix have the plain. */
const CPU_FILES = ['cpuset.cpus.effective', 'cpuset.effective_cpus', 'cpuset.cpus', 'cpus'];
const NODE_FILES = ['cpuset.mems.effective', 'cpuset.effective_mems', 'cpuset.mems', 'mems'];

/** The set of the group itself, or of the nearest group above that has one: controllers are not enabled everywhere. */
function nearest(sources: CpuSources, hierarchy: Hierarchy, files: readonly string[]): readonly number[] | undefined {
  if (hierarchy === null || hierarchy === 'unseen') return undefined;
  for (const group of hierarchy.groups) {
    const set = sources.sets.read(group, ...files);
    // Empty: not configured, so that the group above counts.
    if (set !== undefined && set.length > 0) return set;
  }
  return undefined;
}

function allowed(
  { files, sets, warnings }: CpuSources,
  hierarchy: Hierarchy,
  field: string,
): readonly number[] | undefined {
  if (hierarchy !== 'unseen') return undefined;
  const text = new RegExp(`^${field}:\\s*(\\S+)$`, 'm').exec(files.text('proc/self/status') ?? '')?.[1];
  const set = text === undefined ? undefined : sets.parse(text);
  if (text !== undefined && set === undefined) warnings.add(`${field} in proc/self/status is no list; it is ignored.`);
  return set;
}

function narrower(set: readonly number[] | undefined, all: readonly number[]): number[] | null {
  if (set === undefined) return null;
  const members = new Set(set);
  const kept = all.filter((id) => members.has(id));
  return kept.length === 0 || kept.length === all.length ? null : kept;
}

/** The smallest limit of the group and those above it; null when it is no less than the memory there is. */
function memoryLimit({ files }: CpuSources, hierarchy: Hierarchy, memoryBytes: number): number | null {
  if (hierarchy === null || hierarchy === 'unseen') return null;
  const limits = hierarchy.groups.flatMap((group) => {
    const text = files.text(`${group}/${hierarchy.version === 2 ? 'memory.max' : 'memory.limit_in_bytes'}`, 64) ?? '';
    return /^\d{1,20}$/.test(text) ? [Number(text)] : [];
  });
  const least = Math.min(...limits);
  return least < memoryBytes ? least : null;
}
