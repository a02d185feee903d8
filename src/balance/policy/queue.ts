/**
 * How long requests wait for one of c CPUs: the M/M/c queue. P(wait) is Erlang's C (1917); who waits does so for an exponential time of
 * mean S / (c (1 − u)).
 */

/** Rows of the table; beyond them pooling changes little. Columns: utilisations 0 … 1. */
const MOST_CPUS = 64;
const STEPS = 128;
const rows: (Float64Array | undefined)[] = [];

function row(cpus: number): Float64Array {
  const known = rows[cpus];
  if (known !== undefined) return known;
  const made = new Float64Array(STEPS + 1);
  for (let step = 1; step < STEPS; step++) {
    const use = step / STEPS;
    // 1 / Erlang's B, by its recursion over the number of CPUs.
    let inverse = 1;
    for (let each = 1; each <= cpus; each++) inverse = 1 + (inverse * each) / (cpus * use);
    made[step] = 1 / (1 + (1 - use) * (inverse - 1));
  }
  made[STEPS] = 1;
  rows[cpus] = made;
  return made;
}

/** Probability that a request has to wait: `cpus` of at least 1, fractions are interpolated; `use` from 0 to 1 of them are busy. */
export function waitProbability(cpus: number, use: number): number {
  const whole = Math.min(MOST_CPUS, Math.floor(cpus));
  const part = Math.min(MOST_CPUS, cpus) - whole;
  const at = Math.min(1, Math.max(0, use)) * STEPS;
  const column = Math.min(STEPS - 1, Math.floor(at));
  const right = at - column;
  const low = row(whole);
  const lower = low[column]! * (1 - right) + low[column + 1]! * right;
  if (part === 0) return lower;
  const high = row(whole + 1);
  return lower * (1 - part) + (high[column]! * (1 - right) + high[column + 1]! * right) * part;
}

/**
 * Of `arrivals` per second that take `service` CPU-seconds each, exponentially distributed: the share that takes longer than `seconds` for
 * want of CPUs, when the load stays as it is. That is who waits and takes longer in all, without those who would on a CPU of their own; 1
 * where they cannot keep up. A part of a CPU is a slower one.
 */
export function lateByWaiting(arrivals: number, service: number, cpus: number, seconds: number): number {
  const use = (arrivals * service) / cpus;
  if (use >= 1) return 1;
  // The wait is exponential too, so that wait and service together have a distribution in closed form.
  const served = Math.min(1, cpus) / service;
  const called = (cpus * (1 - use)) / service;
  const gap = served - called;
  const without = Math.exp(-served * seconds);
  const both =
    Math.abs(gap) < 1e-3 * served
      ? served * seconds * without
      : (served / gap) * (Math.exp(-called * seconds) - without);
  const late = waitProbability(Math.max(1, cpus), use) * both;
  return cpus < 1 ? late + without - Math.exp(-seconds / service) : late;
}
