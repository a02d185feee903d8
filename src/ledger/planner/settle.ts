/** Turns the counts that the search decided on into CPU numbers: the lowest that are free. */
import type { Partition } from '../types.ts';
import { type Choice, choicesFor, isWholeCore, type Need } from './choices.ts';
import { partitionOf } from './opening.ts';
import { deviceReason, keptReason, memoryReason, whyTheseCpus } from './reasons.ts';
import { Room, type Take } from './room.ts';
import { leastOf, type Plan } from './search.ts';
import { type Core, nodesOfCpus, type Site, vcpuOrder } from './site.ts';

export interface Settled {
  partition: Partition;
  /** Its CPUs in the order of vCPUs; more than vCPUs where a thread stays idle. */
  cpus: readonly number[];
  reasons: readonly string[];
}

/**
 * A place for each need that has one, in order of decision. What the search refused on its way but has room after all, now
 * that every CPU has its owner, gets a place at the end.
 */
export function settle(
  site: Site,
  fixed: Readonly<Record<string, Partition>>,
  needs: readonly Need[],
  plan: Plan,
): Map<Need, Settled> {
  const taken = new Set(Object.values(fixed).flatMap((partition) => partition.cpus));
  const room = Room.beside(site, fixed);
  for (const { name, held, request } of needs) {
    for (const cpu of held.cpus?.cpus ?? []) taken.add(cpu);
    room.add(name, partitionOf(held, request.memory.hugePageBytes));
  }
  const settled = new Map<Need, Settled>();
  for (const { need, choice } of plan.decisions) give(need, choice);
  for (const need of needs) {
    if (settled.has(need)) continue;
    for (const choice of leastOf(choicesFor(room, need, false))) give(need, choice);
  }
  return settled;

  function give(need: Need, choice: Choice): void {
    const { held, request } = need;
    const whole = isWholeCore(request);
    const chosen = choice.cpus.takes.flatMap((take) => pick(site, take, whole, taken));
    const cpus = [...choice.cpus.cpus, ...chosen].sort((a, b) => a - b);
    const { shared } = choice.cpus;
    // Written out key by key: equal plans are equal as JSON, whatever the order of keys in the input.
    const partition: Partition = {
      cpus,
      shared: shared && { cpus: shared.cpus, milliCpus: shared.milliCpus, weight: shared.weight },
      memory: choice.memory.map(({ node, bytes }) => ({ node, bytes })),
      hugePageBytes: request.memory.hugePageBytes,
      devices: choice.devices,
    };
    const nodes = nodesOfCpus(site, shared?.cpus ?? cpus);
    const reasons = [
      held.cpus === null ? whyTheseCpus(room, request.cpus, choice.cpus, cpus) : keptReason(partition),
      held.memory === null ? memoryReason(room, request.memory, choice.memory, nodes) : '',
      ...(held.devices === null ? choice.devices.map((device) => deviceReason(site, device, nodes)) : []),
    ].filter((reason) => reason !== '');
    settled.set(need, { partition, cpus: shared?.cpus ?? vcpuOrder(site, cpus), reasons });
    for (const cpu of cpus) taken.add(cpu);
    room.add(need.name, {
      cpus: held.cpus === null ? cpus : [],
      shared: held.cpus === null ? shared : null,
      memory: held.memory === null ? choice.memory : [],
      hugePageBytes: request.memory.hugePageBytes,
      devices: held.devices === null ? choice.devices : [],
    });
  }
}

function pick(site: Site, { leaf, units }: Take, whole: boolean, taken: ReadonlySet<number>): number[] {
  const { cores } = site.leaves[leaf]!;
  const isWhole = (core: Core): boolean => core.whole && core.cpus.every((cpu) => !taken.has(cpu));
  if (whole) {
    const picked: number[] = [];
    let missing = units;
    for (const core of cores) {
      if (missing === 0) break;
      if (!isWhole(core)) continue;
      picked.push(...core.cpus);
      missing -= 1;
    }
    return picked;
  }
  const broken = cores.filter((core) => !isWhole(core)).flatMap((core) => core.cpus.filter((cpu) => !taken.has(cpu)));
  if (broken.length >= units) return broken.slice(0, units);
  return [...broken, ...cores.filter(isWhole).flatMap((core) => core.cpus)].slice(0, units);
}

export function isSamePartition(a: Partition, b: Partition): boolean {
  return JSON.stringify(ordered(a)) === JSON.stringify(ordered(b));
}

/** A partition with its keys in one order, for comparing. */
function ordered({ cpus, shared, memory, hugePageBytes, devices }: Partition): unknown {
  const claim = shared && [shared.cpus, shared.milliCpus, shared.weight];
  return [cpus, claim, memory.map(({ node, bytes }) => [node, bytes]), hugePageBytes, devices];
}
