/** The places a room has for one need: its CPUs, and the memory and devices that follow from their nodes. */
import type { NodeMemory, Partition, PartitionRequest } from '../types.ts';
import { allotDevices, allotMemory } from './allot.ts';
import { type CpuOption, cpuOptions, optionOfCpus } from './cpu-options.ts';
import type { Grant, Room } from './room.ts';
import { devicePoints, memoryPoints } from './spread.ts';

/** A request with what is decided about it already. */
export interface Need {
  /** Position in the input. */
  index: number;
  name: string;
  request: PartitionRequest;
  /** Parts of what it has now that it keeps: they are taken in the room already. Null = to be placed. */
  held: {
    cpus: Pick<Partition, 'cpus' | 'shared'> | null;
    memory: readonly NodeMemory[] | null;
    devices: readonly string[] | null;
  };
}

/** A place for one need. */
export interface Choice {
  cpus: CpuOption;
  memory: readonly NodeMemory[];
  devices: readonly string[];
  /** The need's own points, and those of the room's fragmentation after it. */
  points: number;
  fragmentation: number;
}

/**
 * Every place the search considers. With `thorough`, memory of an instance on several nodes is tried on each of them
 * first: they cost it the same, but not those who come after it.
 */
export function choicesFor(room: Room, need: Need, thorough: boolean): Choice[] {
  const { held, request, name } = need;
  const { site } = room;
  const options =
    held.cpus === null ? cpuOptions(room, request.cpus) : [optionOfCpus(site, held.cpus.cpus, held.cpus.shared)];
  const restOn = new Map<string, Rest[]>();
  const choices: Choice[] = [];
  for (const cpus of options) {
    const key = cpus.nodes.join();
    const rests = restOn.get(key) ?? restsFor(room, need, cpus.nodes, thorough);
    restOn.set(key, rests);
    if (rests.length === 0) continue;
    const fragmentation =
      cpus.shared === null && cpus.cpus.length === 0
        ? room.fragmentationAfter(cpus.takes, isWholeCore(request))
        : room.with(name, grantOf(need, { cpus, memory: [], devices: [] })).fragmentation;
    for (const { memory, devices, points } of rests) {
      choices.push({ cpus, memory, devices, points: cpus.points + points, fragmentation });
    }
  }
  return choices;
}

/** What a choice takes from the room, without what the need holds already. */
export function grantOf({ held, request }: Need, choice: Pick<Choice, 'cpus' | 'memory' | 'devices'>): Grant {
  const { takes, cpus, shared } = choice.cpus;
  return {
    whole: isWholeCore(request),
    ...(held.cpus === null ? { takes, cpus, shared } : { takes: [], cpus: [], shared: null }),
    memory: held.memory === null ? choice.memory : [],
    hugePageBytes: request.memory.hugePageBytes,
    devices: held.devices === null ? choice.devices : [],
  };
}

export function isWholeCore({ cpus }: PartitionRequest): boolean {
  return cpus.kind === 'count' && cpus.smt === 'whole-core';
}

interface Rest {
  memory: readonly NodeMemory[];
  devices: readonly string[];
  points: number;
}

function restsFor(room: Room, need: Need, nodes: readonly number[], thorough: boolean): Rest[] {
  const { held, request, name } = need;
  const devices = held.devices ?? allotDevices(room, name, request.devices, nodes);
  if (devices === null) return [];
  const isFree = thorough && held.memory === null && request.memory.kind === 'size' && request.memory.node === null;
  const orders = isFree ? nodes.map((first) => [first, ...nodes.filter((node) => node !== first)]) : [nodes];
  return orders.flatMap((order) => {
    const memory = held.memory ?? allotMemory(room, request.memory, order);
    if (memory === null) return [];
    return [
      { memory, devices, points: memoryPoints(room.site, nodes, memory) + devicePoints(room.site, nodes, devices) },
    ];
  });
}
