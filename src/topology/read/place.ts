/** From what the kernel says of each CPU to packages, dies, clusters, cores and threads that nest. Pure. */
import type { Cpu } from '../topology.ts';
import { sameSet } from './same-set.ts';
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
  apicId: number | undefined;
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
  const firstOfCore = new Map<number, CpuFacts>();
  const threads = new Map<number, number>();
  return facts.map((cpu) => {
    const core = cores.get(cpu.id)!;
    const thread = threads.get(core) ?? 0;
    threads.set(core, thread + 1);
    // A core lies in one cluster: that of its first CPU.
    const first = firstOfCore.get(core) ?? cpu;
    firstOfCore.set(core, first);
    return {
      id: cpu.id,
      online: cpu.online,
      isolated: cpu.isolated,
      package: cpu.package,
      die: dies.get(cpu.id)!,
      cluster: named && first.cluster !== undefined ? clusters.get(first.id)! : null,
      core,
      thread,
      node: cpu.node,
      type: cpu.type,
      capacity: cpu.capacity,
      ...(cpu.apicId === undefined ? {} : { apicId: cpu.apicId }),
    };
  });
}

const disagree = (group: string): string =>
  `the kernel's masks disagree about the ${group}, or it crosses what is around it; the lowest CPU's mask is believed.`;

/**
 * Group number of each CPU, counted in order of first CPU. A CPU without a set joins a group inside `around`, of its own
 * node if it can; where no CPU has one, `around` is one group.
 */
function divide(
  facts: readonly CpuFacts[],
  setOf: (cpu: CpuFacts) => ReadonlySet<number> | undefined,
  around: (cpu: CpuFacts) => number,
  onConflict: (cpu: CpuFacts) => void,
): Map<number, number> {
  const byId = new Map(facts.map((cpu) => [cpu.id, cpu]));
  /** First CPU of the group each CPU is in. */
  const leaders = new Map<number, CpuFacts>();
  for (const first of facts) {
    const set = setOf(first);
    if (set === undefined || leaders.has(first.id)) continue;
    let conflict = false;
    for (const id of [first.id, ...set]) {
      const cpu = byId.get(id)!;
      const isFree = !leaders.has(id) && around(cpu) === around(first);
      if (isFree) leaders.set(id, first);
      conflict ||= leaders.get(id) !== first || !sameSet(setOf(cpu), set);
    }
    if (conflict) onConflict(first);
  }
  /** Of the groups inside each `around`: the first, and the first of each node. */
  const groups = new Map<number, { first: CpuFacts; ofNode: Map<number | null, CpuFacts> }>();
  const note = (leader: CpuFacts) => {
    const inside = groups.get(around(leader)) ?? { first: leader, ofNode: new Map() };
    groups.set(around(leader), inside);
    if (!inside.ofNode.has(leader.node)) inside.ofNode.set(leader.node, leader);
  };
  for (const leader of new Set(leaders.values())) note(leader);
  for (const cpu of facts) {
    if (leaders.has(cpu.id)) continue;
    const inside = groups.get(around(cpu));
    leaders.set(cpu.id, inside?.ofNode.get(cpu.node) ?? inside?.first ?? cpu);
    if (inside === undefined) note(cpu);
  }
  const numbers = new Map<CpuFacts, number>();
  return new Map(
    facts.map(({ id }) => {
      const leader = leaders.get(id)!;
      const number = numbers.get(leader) ?? numbers.size;
      numbers.set(leader, number);
      return [id, number];
    }),
  );
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
