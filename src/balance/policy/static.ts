/** The equal split: every kernel the same, whatever happens. What all others are held against. */
import type { Controller, Policy, Window } from '../types.ts';
import { bounds, wishes } from './allot.ts';
import { level } from './level.ts';

class Static implements Controller {
  decide(window: Window) {
    return wishes(window, equalSplit(window), () => ({ rule: 'equal-split', kernels: window.kernels.length }));
  }
}

/** Pieces of each when all get the same, within their bounds; the first get what does not divide. */
export function equalSplit(window: Window): Float64Array {
  const count = window.kernels.length;
  const floors = new Float64Array(count);
  const wants = new Float64Array(count);
  let left = Math.floor(window.cpus / window.grain + 1e-9);
  for (let index = 0; index < count; index++) {
    const [least, most] = bounds(window, index);
    floors[index] = least;
    wants[index] = most - least;
    left -= least;
  }
  // Who has a higher floor stands lower, so that all end at one level.
  const heights = floors.map((floor) => -floor);
  const given = level(heights, wants, Math.max(0, left));
  return floors.map((floor, index) => floor + given[index]!);
}

export const staticPolicy: Policy = {
  name: 'static',
  summary: 'every kernel the same, for ever',
  interval: 1,
  defaults: {},
  grid: {},
  begin: () => new Static(),
};
