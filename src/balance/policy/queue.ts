/**
 * How long requests wait for one of c CPUs: the M/M/c queue, with the correction (1 + cv²) / 2 for other service times.
 * P(wait) is Erlang's C (1917); mean wait = C · S (1 + cv²) / (2 c (1 − u)), and beyond the wait is exponential.
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

export interface Load {
  /** Requests per second. */
  arrivals: number;
  /** CPU-seconds of a request, and its squared coefficient of variation. */
  service: number;
  variation: number;
}

/**
 * Share of requests that wait longer than `seconds` on `cpus` CPUs when the load stays as it is: 1 where they cannot keep up.
 * A part of a CPU is a slower one.
 */
export function waitsLonger({ arrivals, service, variation }: Load, cpus: number, seconds: number): number {
  const use = (arrivals * service) / cpus;
  if (use >= 1) return 1;
  const decay = (2 * cpus * (1 - use)) / (service * (1 + variation));
  return waitProbability(Math.max(1, cpus), use) * Math.exp(-decay * Math.max(0, seconds));
}
