/** What both models of a tenant answer, each second. */
import type { Observation } from '../types.ts';
import type { Tenant } from './types.ts';

/** CPUs that work for a tenant during a step of `seconds`: `early` for the part `at` of it (0 to 1), then `later`. */
export interface Given {
  early: number;
  later: number;
  at: number;
  seconds: number;
}

export interface Engine extends Observation {
  /** A step passes with `rate` requests per second. What an observation holds is then about it. */
  step(rate: number, given: Given): void;
  /** Seconds violated so far; the one under way, and those whose requests are not all answered, may be missing until `finish`. */
  violated: number;
  finish(): void;
}

/** How much longer requests take for want of memory: four times the lacking part. A law of our own, in place of refaults. */
export function slowdown({ memory }: Tenant, rate: number): number {
  if (memory === undefined) return 1;
  const need = memory.base + memory.perRequest * rate;
  return 1 + 4 * Math.max(0, need / memory.has - 1);
}

/** A second is violated when more than this share of its requests was late, shed or lost. */
export const TOLERATED = 0.01;
