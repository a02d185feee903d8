/** Which package each CPU is in: physical_package_id, and the masks of those who share one. Pure. */
import { sameSet } from './same-set.ts';
import type { Warnings } from './warnings.ts';

export interface PackageFacts {
  id: number;
  node: number | null;
  /** physical_package_id; null where it is -1 or absent. */
  package: number | null;
  /** s390 numbers packages anew in every book of every drawer. */
  book: string;
  core: ReadonlySet<number>;
  /** CPUs of its package as the kernel's masks have it; undefined where there is none. */
  siblings: ReadonlySet<number> | undefined;
}

/**
 * The package of each CPU. Where ids are missing, or the same for several packages, masks tell these apart; a number that
 * is free is made up then. `idsAreUnique`: on this architecture no id is ever that of several, so that masks which say so are wrong.
 * Without either a package is guessed.
 */
export function packagesOf(
  facts: readonly PackageFacts[],
  idsAreUnique: boolean,
  warnings: Warnings,
): Map<number, number> {
  const leaders = believable(facts, idsAreUnique, warnings);
  const idOf = (cpu: PackageFacts) => (cpu.package === null ? undefined : `${cpu.book}/${cpu.package}`);
  /** By id, the one group that has it; `undefined` for an id of several. */
  const groupOfId = new Map<string, string | undefined>();
  for (const cpu of facts) {
    const [id, leader] = [idOf(cpu), leaders.get(cpu.id)];
    if (id === undefined || leader === undefined) continue;
    const group = `mask ${leader}`;
    groupOfId.set(id, !groupOfId.has(id) || groupOfId.get(id) === group ? group : undefined);
  }
  const keys = new Map<number, string>();
  for (const cpu of facts) {
    const [id, leader] = [idOf(cpu), leaders.get(cpu.id)];
    if (leader !== undefined) keys.set(cpu.id, `mask ${leader}`);
    else if (id !== undefined) keys.set(cpu.id, groupOfId.get(id) ?? id);
  }
  const numbers = numbered(facts, keys);
  const known = new Map([...keys].map(([cpu, key]) => [cpu, numbers.get(key)!]));
  return guessed(facts, known, warnings);
}

/** The lowest CPU of the group each is in, as far as masks tell and what they tell can be. */
function believable(
  facts: readonly PackageFacts[],
  idsAreUnique: boolean,
  warnings: Warnings,
): ReadonlyMap<number, number> {
  const byId = new Map(facts.map((cpu) => [cpu.id, cpu]));
  const leaders = new Map<number, number>();
  const odd: number[] = [];
  for (const { id: first, siblings } of facts) {
    if (siblings === undefined || leaders.has(first)) continue;
    let isOdd = false;
    for (const id of [first, ...siblings]) {
      if (!leaders.has(id)) leaders.set(id, first);
      isOdd ||= leaders.get(id) !== first || !sameSet(byId.get(id)?.siblings, siblings);
    }
    if (isOdd) odd.push(first);
  }
  const split = facts.filter(({ id, core }) => [...core].some((other) => leaders.get(other) !== leaders.get(id)));
  for (const { id } of split) warnings.cpu(id, 'the mask of its package divides its core; it is ignored.');
  if (split.length > 0) return new Map();
  const isNamed = facts.every((cpu) => cpu.package !== null || !leaders.has(cpu.id));
  for (const id of odd) {
    const believed = isNamed ? 'physical_package_id' : "the lowest CPU's mask";
    warnings.cpu(id, `the kernel's masks disagree about the package; ${believed} is believed.`);
  }
  if (odd.length > 0 && isNamed) return new Map();
  const [mixed, repeated] = disagreements(facts, leaders);
  const believed = idsAreUnique ? 'physical_package_id' : 'the masks';
  for (const id of mixed) warnings.cpu(id, `its package has several ids by the masks; ${believed} is believed.`);
  if (!idsAreUnique) return leaders;
  for (const id of repeated)
    warnings.cpu(id, 'the mask of its package does not hold all CPUs with its id; the id is believed.');
  return mixed.length + repeated.length > 0 && isNamed ? new Map() : leaders;
}

/** The first CPUs of groups that have several ids, and of those whose id another group has. */
function disagreements(
  facts: readonly PackageFacts[],
  leaders: ReadonlyMap<number, number>,
): [mixed: number[], repeated: number[]] {
  const idsOf = new Map<number, Set<number>>();
  for (const { id, package: pkg } of facts) {
    const leader = leaders.get(id);
    if (leader !== undefined && pkg !== null) idsOf.set(leader, (idsOf.get(leader) ?? new Set()).add(pkg));
  }
  const seen = new Set<number>();
  const repeated: number[] = [];
  for (const [leader, ids] of idsOf) {
    if ([...ids].some((id) => seen.has(id))) repeated.push(leader);
    for (const id of ids) seen.add(id);
  }
  return [[...idsOf].flatMap(([leader, ids]) => (ids.size > 1 ? [leader] : [])), repeated];
}

/** A number for each key: its id where it has one that no key before has, else the lowest that is free. */
function numbered(facts: readonly PackageFacts[], keys: ReadonlyMap<number, string>): Map<string, number> {
  const ids = new Map<string, Set<number>>();
  for (const { id, package: pkg } of facts) {
    const key = keys.get(id);
    if (key === undefined) continue;
    const own = ids.get(key) ?? new Set();
    ids.set(key, pkg === null ? own : own.add(pkg));
  }
  const numbers = new Map<string, number>();
  const taken = new Set<number>();
  for (const [key, [own, another]] of ids) {
    if (own === undefined || another !== undefined || taken.has(own)) continue;
    numbers.set(key, own);
    taken.add(own);
  }
  let free = 0;
  for (const key of ids.keys()) {
    if (numbers.has(key)) continue;
    while (taken.has(free)) free++;
    numbers.set(key, free);
    taken.add(free);
  }
  return numbers;
}

/** An offline CPU's node is known more often than its package. */
function guessed(
  facts: readonly PackageFacts[],
  known: ReadonlyMap<number, number>,
  warnings: Warnings,
): Map<number, number> {
  const all = new Set(known.values());
  const ofNode = new Map<number, Set<number>>();
  for (const { id, node } of facts) {
    const pkg = known.get(id);
    if (node !== null && pkg !== undefined) ofNode.set(node, (ofNode.get(node) ?? new Set()).add(pkg));
  }
  return new Map(
    facts.map(({ id, node }) => {
      const own = known.get(id);
      if (own !== undefined) return [id, own];
      const candidates = (node === null ? undefined : ofNode.get(node)) ?? all;
      const [guess = 0] = candidates;
      if (candidates.size !== 1)
        warnings.cpu(id, `nothing says which package this is in; package ${guess} is assumed.`);
      return [id, guess];
    }),
  );
}
