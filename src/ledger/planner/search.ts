/**
 * Beam search. Requests are placed one after another, the most difficult first; at each step the best few ways so far are
 * kept, of which one may also be to refuse the request. How few depends on the size of the problem, so that the work is
 * bounded: on a small one the beam holds every way there is that matters, on a large one it is a single best-fit pass.
 * Nothing is random, and ties go to what was found first, so that equal input gives equal output.
 */
import type { PartitionRequest } from '../types.ts';
import { type Choice, choicesFor, grantOf, isWholeCore, type Need } from './choices.ts';
import { POINTS } from './points.ts';
import type { Room } from './room.ts';

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

/** The best plan found for `needs` in `room`, with at most `widest` partial plans side by side. */
export function search(room: Room, needs: readonly Need[], widest = WIDEST_BEAM): Plan {
  const steps = Math.max(1, needs.length) * Math.max(1, room.site.leaves.length);
  const width = Math.max(1, Math.min(widest, Math.floor(STEPS / steps)));
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
      const choices = choicesFor(from.room, need, width > 1);
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
  return best!;
}

function follow(from: Branch, need: Need, choice: Choice): Branch {
  return {
    room: from.room.with(need.name, grantOf(need, choice)),
    points: from.points + choice.points,
    last: { decision: { need, choice }, before: from.last },
  };
}

/** The cheapest choice, the first of equals; none when there is none. */
export function leastOf(choices: readonly Choice[]): Choice[] {
  let best: Choice | undefined;
  for (const choice of choices) {
    if (best === undefined || choice.points + choice.fragmentation < best.points + best.fragmentation) best = choice;
  }
  return best === undefined ? [] : [best];
}

/**
 * What must be where, first: exact CPUs, then memory and devices that are named, then CPUs tied to a node or an L3. Of
 * equals the larger first, and whole cores before the threads that can fill what they leave.
 */
function difficulty({ request }: Need): number[] {
  const { cpus, memory, devices } = request;
  const named = Number(memory.kind === 'nodes' || memory.node !== null) + Number(devices.length > 0);
  if (cpus.kind === 'exact') return [2, named, 0, 0, cpus.cpus.length, memoryBytes(memory)];
  if (cpus.kind === 'shared') return [0, named, 0, 0, cpus.milliCpus, memoryBytes(memory)];
  const tied = Number(cpus.numa !== null || cpus.near !== null) + Number(cpus.cache === 'shared-l3');
  return [1, named, tied, Number(isWholeCore(request)), cpus.count, memoryBytes(memory)];
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
