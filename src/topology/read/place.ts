/** From what the kernel says of each CPU to packages, dies, clusters, cores and threads that nest. Pure. */
import type { Cpu } from '../topology.ts';
import type { Warnings } from './warnings.ts';

/** What was read of one CPU. Sets hold present CPUs and the CPU itself. */
export interface CpuFacts {
  id: number;
  online: boolean;
  isolated: boolean;
  package: number;
  node: number | null;
  type: Cpu['type'];
  capacity: number | null;
  core: ReadonlySet<number>;
  /** undefined = the kernel names none. */
  cluster: ReadonlySet<number> | undefined;
  die: ReadonlySet<number> | undefined;
}

/**
 * Groups CPUs, ascending. Where CPUs disagree about who shares a group, the lowest CPU is believed, and the others go
 * where they say themselves. A group never crosses the one around it.
 */
export function place(facts: readonly CpuFacts[], warnings: Warnings): Cpu[] {
  const dies = divide(
    facts,
    (cpu) => cpu.die,
    (cpu) => cpu.package,
    (cpu) => warnings.cpu(cpu.id, disagree('die')),
  );
  const cores = divide(
    facts,
    (cpu) => cpu.core,
    (cpu) => dies.get(cpu.id)!,
    (cpu) => warnings.cpu(cpu.id, disagree('core')),
  );
  const named = tellsSomething(facts);
  const clusters = divide(
    facts,
    (cpu) => (named ? cpu.cluster : undefined),
    (cpu) => dies.get(cpu.id)!,
    () => {},
  );
  const firstOfCore = new Map<number, number>();
  const threads = new Map<number, number>();
  return facts.map(({ id, online, isolated, package: pkg, node, type, capacity, cluster }) => {
    const core = cores.get(id)!;
    const thread = threads.get(core) ?? 0;
    threads.set(core, thread + 1);
    if (thread === 0) firstOfCore.set(core, id);
    return {
      id,
      online,
      isolated,
      package: pkg,
      die: dies.get(id)!,
      // A core lies in one cluster: that of its first CPU.
      cluster: named && cluster !== undefined ? clusters.get(firstOfCore.get(core)!)! : null,
      core,
      thread,
      node,
      type,
      capacity,
    };
  });
}

const disagree = (group: string): string =>
  `the kernel's masks disagree about the ${group}, or it crosses what is around it; the lowest CPU's mask is believed.`;

/** Group number of each CPU, counted in order of first CPU. A CPU without a set is with all others inside `around`. */
function divide(
  facts: readonly CpuFacts[],
  setOf: (cpu: CpuFacts) => ReadonlySet<number> | undefined,
  around: (cpu: CpuFacts) => number,
  onConflict: (cpu: CpuFacts) => void,
): Map<number, number> {
  const byId = new Map(facts.map((cpu) => [cpu.id, cpu]));
  const groups = new Map<number, number>();
  let count = 0;
  for (const first of facts) {
    if (groups.has(first.id)) continue;
    const group = count++;
    const inside = (cpu: CpuFacts) => around(cpu) === around(first);
    const set = setOf(first);
    const members = set === undefined ? facts : [first, ...[...set].map((id) => byId.get(id)!)];
    let conflict = false;
    for (const cpu of members) {
      if (groups.has(cpu.id)) {
        conflict ||= set !== undefined && cpu !== first;
        continue;
      }
      if (inside(cpu)) groups.set(cpu.id, group);
      else conflict ||= set !== undefined;
      conflict ||= set !== undefined && !sameSet(setOf(cpu), set);
    }
    if (conflict) onConflict(first);
  }
  return groups;
}

function sameSet(a: ReadonlySet<number> | undefined, b: ReadonlySet<number>): boolean {
  return a === b || (a !== undefined && a.size === b.size && [...a].every((id) => b.has(id)));
}

/** x86 and arm64 name a cluster for every CPU; it means something only if one is more than a core and less than a die. */
function tellsSomething(facts: readonly CpuFacts[]): boolean {
  const packages = new Map<number, number>();
  for (const cpu of facts) packages.set(cpu.package, (packages.get(cpu.package) ?? 0) + 1);
  return facts.some(
    ({ cluster, core, die, package: pkg }) =>
      cluster !== undefined && cluster.size > core.size && cluster.size < (die?.size ?? packages.get(pkg)!),
  );
}
