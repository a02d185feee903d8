/**
 * Beam search. Requests are placed one after another, the most difficult first; at each step the best few ways so far are
 * kept, of which one may also be to refuse the request. How few depends on the size of the problem, so that the work is
 * bounded: on a small one the beam holds every way there is that matters, on a large one it is a single best-fit pass.
 * Nothing is random, and ties go to what was found first, so that equal input gives equal output.
 */
import type { NodeMemory, Partition, PartitionRequest } from '../types.ts';
import { allotDevices, allotMemory } from './allot.ts';
import { type CpuOption, cpuOptions, optionOfCpus } from './cpu-options.ts';
import { POINTS } from './points.ts';
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
  /** The need's own points and the fragmentation of the room after it. */
  points: number;
  fragmentation: number;
}

export interface Decision {
  need: Need;
  choice: Choice;
}

export interface Plan {
  /** In the order in which they were made. */
  decisions: readonly Decision[];
  room: Room;
}

interface Branch {
  room: Room;
  /** All points but those of fragmentation. */
  points: number;
  last: { decision: Decision; before: Branch['last'] } | null;
}

/** Work is about needs x beam x leaves; this many such steps take some tens of milliseconds. */
const STEPS = 12_000;
const WIDEST_BEAM = 160;

/** The best plan found for `needs` in `room`. */
export function search(room: Room, needs: readonly Need[]): Plan {
  const steps = Math.max(1, needs.length) * Math.max(1, room.site.leaves.length);
  const width = Math.max(1, Math.min(WIDEST_BEAM, Math.floor(STEPS / steps)));
  const hardest = needs.toSorted((a, b) => compare(difficulty(b), difficulty(a)) || a.index - b.index);
  let best = beam(room, hardest, width);
  if (needs.length > 0 && best.points >= POINTS.refused) {
    // Where not all fit, small requests first leave fewer of them without a place.
    const smallest = needs.toSorted((a, b) => size(a) - size(b) || a.index - b.index);
    const other = beam(room, smallest, width);
    if (other.points + other.room.fragmentation < best.points + best.room.fragmentation) best = other;
  }
  const decisions: Decision[] = [];
  for (let last = best.last; last !== null; last = last.before) decisions.push(last.decision);
  return { decisions: decisions.reverse(), room: best.room };
}

function beam(room: Room, needs: readonly Need[], width: number): Branch {
  let branches: Branch[] = [{ room, points: 0, last: null }];
  for (const need of needs) {
    const next: { from: Branch; choice: Choice | null; total: number }[] = [];
    for (const from of branches) {
      const choices = choicesFor(from.room, need);
      const least = width === 1 ? leastOf(choices) : choices;
      for (const choice of least)
        next.push({ from, choice, total: from.points + choice.points + choice.fragmentation });
      if (width > 1 || choices.length === 0)
        next.push({ from, choice: null, total: from.points + POINTS.refused + from.room.fragmentation });
    }
    next.sort((a, b) => a.total - b.total);
    const seen = new Set<string>();
    branches = [];
    for (const { from, choice } of next) {
      const branch = choice === null ? { ...from, points: from.points + POINTS.refused } : follow(from, need, choice);
      const signature = width === 1 ? '' : branch.room.signature();
      if (seen.has(signature)) continue;
      seen.add(signature);
      if (branches.push(branch) === width) break;
    }
  }
  const [best] = branches.sort((a, b) => a.points + a.room.fragmentation - b.points - b.room.fragmentation);
  return retried(best!, needs);
}

/** Places what a branch refused early and has room for after all. */
function retried(branch: Branch, needs: readonly Need[]): Branch {
  const placed = new Set<Need>();
  for (let last = branch.last; last !== null; last = last.before) placed.add(last.decision.need);
  let now = branch;
  for (const need of needs) {
    const [choice] = placed.has(need) ? [] : leastOf(choicesFor(now.room, need));
    if (choice !== undefined) now = follow({ ...now, points: now.points - POINTS.refused }, need, choice);
  }
  return now;
}

function follow(from: Branch, need: Need, choice: Choice): Branch {
  return {
    room: from.room.with(need.name, grantOf(need, choice)),
    points: from.points + choice.points,
    last: { decision: { need, choice }, before: from.last },
  };
}

function leastOf(choices: readonly Choice[]): Choice[] {
  let best: Choice | undefined;
  for (const choice of choices) {
    if (best === undefined || choice.points + choice.fragmentation < best.points + best.fragmentation) best = choice;
  }
  return best === undefined ? [] : [best];
}

/** What a choice takes from the room, without what the need holds already. */
function grantOf(need: Need, { cpus, memory, devices }: Choice): Grant {
  const { held, request } = need;
  const holds = held.cpus !== null;
  return {
    whole: request.cpus.kind === 'count' && request.cpus.smt === 'whole-core',
    takes: holds ? [] : cpus.takes,
    cpus: holds ? [] : cpus.cpus,
    shared: holds ? null : cpus.shared,
    memory: held.memory === null ? memory : [],
    hugePageBytes: request.memory.hugePageBytes,
    devices: held.devices === null ? devices : [],
  };
}

/** Every way to place a need that the search considers. Memory and devices follow from the nodes of the CPUs. */
export function choicesFor(room: Room, need: Need): Choice[] {
  const { held, request, name } = need;
  const { site } = room;
  const options =
    held.cpus === null ? cpuOptions(room, request.cpus) : [optionOfCpus(site, held.cpus.cpus, held.cpus.shared)];
  const whole = request.cpus.kind === 'count' && request.cpus.smt === 'whole-core';
  const byNodes = new Map<
    string,
    { memory: readonly NodeMemory[]; devices: readonly string[]; points: number } | null
  >();
  const choices: Choice[] = [];
  for (const cpus of options) {
    const key = cpus.nodes.join();
    let rest = byNodes.get(key);
    if (rest === undefined) {
      const memory = held.memory ?? allotMemory(room, request.memory, cpus.nodes);
      const devices = memory && (held.devices ?? allotDevices(room, name, request.devices, cpus.nodes));
      rest =
        memory && devices
          ? {
              memory,
              devices,
              points: memoryPoints(site, cpus.nodes, memory) + devicePoints(site, cpus.nodes, devices),
            }
          : null;
      byNodes.set(key, rest);
    }
    if (rest === null) continue;
    const fragmentation =
      cpus.takes.length > 0
        ? room.fragmentationAfter(cpus.takes, whole)
        : held.cpus !== null
          ? room.fragmentation
          : room.with(name, { ...grantOf(need, { ...rest, cpus, fragmentation: 0 }), memory: [], devices: [] })
              .fragmentation;
    choices.push({
      cpus,
      memory: rest.memory,
      devices: rest.devices,
      points: cpus.points + rest.points,
      fragmentation,
    });
  }
  return choices;
}

/** The more constrained and the larger, the earlier: fixed places, constraints, whole cores, CPUs, memory. */
function difficulty({ request: { cpus, memory, devices } }: Need): number[] {
  const bound = Number(memory.kind === 'nodes' || memory.node !== null) + Number(devices.length > 0);
  if (cpus.kind !== 'count') return [cpus.kind === 'exact' ? 2 : 0, bound, 0, 0, memoryBytes(memory)];
  const tied = Number(cpus.numa !== null || cpus.near !== null) + Number(cpus.cache === 'shared-l3');
  return [1, bound + tied, Number(cpus.smt === 'whole-core'), cpus.count, memoryBytes(memory)];
}

function size({ request: { cpus, memory } }: Need): number {
  if (cpus.kind === 'exact') return -1;
  return (cpus.kind === 'count' ? cpus.count : cpus.milliCpus / 1000) + memoryBytes(memory) / 2 ** 60;
}

function memoryBytes(memory: PartitionRequest['memory']): number {
  return memory.kind === 'size' ? memory.bytes : memory.memory.reduce((sum, { bytes }) => sum + bytes, 0);
}

function compare(a: readonly number[], b: readonly number[]): number {
  for (const [index, value] of a.entries()) if (value !== b[index]) return value - b[index]!;
  return 0;
}
