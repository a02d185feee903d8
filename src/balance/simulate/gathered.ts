/** Observations of several steps as one: for policies whose interval is longer than a step. */
import type { Observation } from '../types.ts';

/** Numbers that are means over the interval. */
const MEANS = ['busy', 'busyDeviation', 'waiting', 'throttled', 'arrivals', 'finished'] as const;

export class Gathered implements Observation {
  known = true;
  cpus = 0;
  busy = 0;
  busyPeak = 0;
  busyDeviation = 0;
  waiting = 0;
  throttled = 0;
  work = 0;
  arrivals = 0;
  finished = 0;
  queued = 0;
  late = 0;
  p99Ms: number | null = null;
  #steps = 0;
  #wantsP99: boolean;

  /** `wantsP99`: it takes time to work out. */
  constructor(wantsP99: boolean) {
    this.#wantsP99 = wantsP99;
  }

  /** Adds a step. The first one after `close` begins a new interval. */
  add(seen: Observation): void {
    if (this.#steps === 0) {
      for (const name of MEANS) this[name] = 0;
      this.busyPeak = this.work = this.late = 0;
      this.p99Ms = null;
    }
    for (const name of MEANS) this[name] += seen[name];
    this.known = seen.known;
    this.cpus = seen.cpus;
    this.queued = seen.queued;
    this.work += seen.work;
    this.late += seen.late * seen.arrivals;
    this.busyPeak = Math.max(this.busyPeak, seen.busyPeak);
    // Of the worst step: a little more than that of all requests together.
    if (this.#wantsP99 && seen.p99Ms !== null) this.p99Ms = Math.max(this.p99Ms ?? 0, seen.p99Ms);
    this.#steps++;
  }

  close(): void {
    if (this.arrivals > 0) this.late /= this.arrivals;
    for (const name of MEANS) this[name] /= this.#steps;
    this.#steps = 0;
  }
}
