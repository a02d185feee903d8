/**
 * A tenant as a fluid: the mean of the work that waits, from step to step, and around it the distribution that a queue has.
 *
 * Work X changes by offered − c·u, where u is the utilisation at which a steady queue would hold X: the pointwise stationary
 * fluid flow approximation (Wang, Tipper, Banerjee, IEEE INFOCOM 1996, https://doi.org/10.1109/INFCOM.1996.493082), exact
 * in the steady state and in overload. The step is implicit, so that it is stable at any length. Beside it runs the backlog D that is
 * there without any chance, max(0, D + offered − c). What X has beyond D is spread exponentially, as in the steady state; with a backlog,
 * which is an overload, like the half-normal that a reflected Brownian motion starts with, for which a Weibull stands.
 */
import { waitProbability } from '../policy/queue.ts';
import { type Engine, type Given, slowdown, TOLERATED } from './engine.ts';
import type { Latencies } from './latencies.ts';
import { ServiceTimes } from './service-times.ts';
import type { Tenant } from './types.ts';

/** Expected highest of ten normal samples, in deviations: the busiest 100 ms of a second. */
const HIGHEST_OF_TEN = 1.54;
const SAMPLE_SECONDS = 0.1;
/** Requests whose latency is looked at, each step; where they lie moves on by the golden ratio. */
const PROBES = 8;
const GOLDEN = 0.618034;
/** A Weibull of this shape has the half-normal's ratio of 99th percentile to mean; and its scale for a mean of 1: 1 / Γ(1 + 1 / shape). */
const SHAPE = 1.4;
const SCALE = 1.0972;

const tables = new Map<number, ServiceTimes>();

export class Fluid implements Engine {
  readonly known = true;
  cpus: number;
  busy = 0;
  waiting = 0;
  throttled = 0;
  work = 0;
  arrivals = 0;
  finished = 0;
  queued = 0;
  late = 0;
  violated = 0;
  /** CPU-seconds that wait: mean, and the part that is there without chance. */
  mean = 0;
  backlog = 0;
  readonly #tenant: Tenant;
  readonly #times: ServiceTimes;
  readonly #latencies: Latencies | undefined;
  readonly #points: ServiceTimes['coarse'];
  #steps = 0;
  #seconds = 0;
  /** Of the second under way: how much of it is over, how many came, how many of them are late or lost. */
  #clock = 0;
  #came = 0;
  #bad = 0;
  #servers = 1;
  #speed = 1;
  #chance = 0;
  #usable = 0;
  #meanBefore = 0;
  #backlogBefore = 0;

  constructor(tenant: Tenant, latencies?: Latencies) {
    this.#tenant = tenant;
    this.#latencies = latencies;
    this.cpus = tenant.entitlement;
    this.#times = tables.get(tenant.variation) ?? new ServiceTimes(tenant.variation);
    tables.set(tenant.variation, this.#times);
    this.#points = this.#times.coarse;
  }

  step(rate: number, { early, later, at, seconds }: Given): void {
    const given = early * at + later * (1 - at);
    const tenant = this.#tenant;
    const cpus = Math.min(given, tenant.parallelism);
    if (tenant.kind === 'batch') {
      this.busy = cpus;
      this.work = cpus * seconds;
      this.#usable = cpus;
      this.waiting = given <= tenant.parallelism ? 1 : 0;
      this.throttled = this.waiting;
      if (tenant.lies === true) this.#lie(given);
      return;
    }
    const service = (tenant.serviceMs / 1000) * slowdown(tenant, rate);
    this.#seconds = service;
    this.#flow(rate * service, cpus, service, seconds);
    this.arrivals = rate;
    this.finished = this.busy / service;
    const limit = tenant.queueLimit * service;
    let lost = 0;
    if (this.mean > limit) {
      lost = rate > 0 ? Math.min(1, (this.mean - limit) / (rate * seconds * service)) : 0;
      this.mean = limit;
      this.backlog = Math.min(this.backlog, limit);
    }
    this.queued = this.mean / service;
    // Requests wait outside of the kernel when it has fewer threads than CPUs: then nothing in it is runnable.
    const isShort = given <= tenant.parallelism;
    this.waiting = isShort ? this.queued : 0;
    this.throttled = isShort ? this.#chance : 0;
    this.late = rate > 0 && tenant.promiseMs !== null ? lost + (1 - lost) * this.share(tenant.promiseMs / 1000) : lost;
    this.#count(rate * seconds, seconds);
    this.#probe(rate * seconds * (1 - lost));
    this.#steps++;
    if (tenant.lies === true) this.#lie(given);
  }

  finish(): void {}

  #count(came: number, seconds: number): void {
    this.#came += came;
    this.#bad += came * this.late;
    this.#clock += seconds;
    if (this.#clock < 1 - 1e-9) return;
    if (this.#bad > TOLERATED * this.#came) this.violated++;
    this.#clock = this.#came = this.#bad = 0;
  }

  /** A step of the equation above, with `demand` in CPUs. */
  #flow(demand: number, cpus: number, service: number, seconds: number): void {
    const { variation } = this.#tenant;
    const offered = demand * seconds;
    const capacity = cpus * seconds;
    this.#meanBefore = this.mean;
    this.#backlogBefore = this.backlog;
    this.#usable = cpus;
    if (cpus <= 0) {
      this.mean += offered;
      this.backlog += offered;
      this.busy = 0;
      this.#chance = 1;
      return;
    }
    this.#servers = Math.max(1, cpus);
    this.#speed = Math.min(1, cpus);
    const scale = (service * (1 + variation)) / 2;
    const before = this.mean + offered;
    const excess = (use: number) => scale * waitProbability(this.#servers, use) - (1 - use) * (before - capacity * use);
    // Falsi with the Illinois rule: the sign changes once between 0 and 1.
    let low = 0;
    let high = 1;
    let atLow = excess(0);
    let atHigh = scale;
    let use = 0;
    if (atLow < 0) {
      let side = 0;
      for (let round = 0; round < 30; round++) {
        use = (low * atHigh - high * atLow) / (atHigh - atLow);
        const value = excess(use);
        if (Math.abs(value) < 1e-7 * scale) break;
        if (value > 0) {
          high = use;
          atHigh = value;
          if (side === 1) atLow /= 2;
          side = 1;
        } else {
          low = use;
          atLow = value;
          if (side === -1) atHigh /= 2;
          side = -1;
        }
      }
    }
    this.mean = Math.max(0, before - capacity * use);
    this.backlog = Math.min(this.mean, Math.max(0, this.backlog + offered - capacity));
    this.busy = cpus * use;
    this.#chance = waitProbability(this.#servers, use);
  }

  /** Share of the requests of this step that take longer than `seconds`. */
  share(seconds: number): number {
    return (this.#shareAt(seconds, 0.25) + this.#shareAt(seconds, 0.75)) / 2;
  }

  #shareAt(seconds: number, when: number): number {
    if (this.#usable <= 0) return 1;
    const backlog = (this.#backlogBefore * (1 - when) + this.backlog * when) / this.#usable;
    const mean = (this.#meanBefore * (1 - when) + this.mean * when) / this.#usable;
    const chance = backlog > 1e-9 ? 1 : this.#chance;
    const decay = chance / Math.max(1e-9, mean - backlog);
    const unit = this.#seconds / this.#speed;
    const overload = backlog > 1e-9;
    let late = 0;
    for (const { weight, times } of this.#points) {
      const left = seconds - unit * times - backlog;
      if (left <= 0) late += weight;
      else if (overload) late += weight * Math.exp(-(((left * decay) / SCALE) ** SHAPE));
      else late += weight * chance * Math.exp(-decay * left);
    }
    return late;
  }

  #probe(came: number): void {
    if (this.#latencies === undefined || came <= 0 || this.#usable <= 0) return;
    for (let probe = 0; probe < PROBES; probe++) {
      const step = this.#steps * PROBES + probe;
      const share = (probe + ((this.#steps * GOLDEN) % 1)) / PROBES;
      const when = (step * 0.7548777) % 1;
      const quantile = (step * 0.5698403) % 1;
      const backlog = (this.#backlogBefore * (1 - when) + this.backlog * when) / this.#usable;
      const mean = (this.#meanBefore * (1 - when) + this.mean * when) / this.#usable;
      const chance = backlog > 1e-9 ? 1 : this.#chance;
      let wait = 0;
      if (backlog > 1e-9) wait = (mean - backlog) * SCALE * (-Math.log(1 - share)) ** (1 / SHAPE);
      else if (1 - share < chance) wait = (mean / chance) * Math.log(chance / (1 - share));
      const service = (this.#seconds / this.#speed) * this.#times.at(quantile);
      this.#latencies.add(backlog + wait + service, came / PROBES);
    }
  }

  /** Of arrivals in this step, by halving. Computed when asked: few policies do. */
  get p99Ms(): number | null {
    if (this.arrivals <= 0) return null;
    let low = this.#seconds / this.#speed;
    let high = low * 2;
    while (this.share(high) > TOLERATED && high < 1e4) {
      low = high;
      high *= 2;
    }
    for (let round = 0; round < 6; round++) {
      const middle = Math.sqrt(low * high);
      if (this.share(middle) > TOLERATED) low = middle;
      else high = middle;
    }
    return high * 1000;
  }

  /** Between samples of 100 ms, as Poisson arrivals have it, smoothed by requests that last longer than a sample. */
  get busyDeviation(): number {
    const { kind, variation } = this.#tenant;
    if (kind === 'batch') return 0;
    const perSample = (this.arrivals * this.#seconds ** 2 * (1 + variation)) / SAMPLE_SECONDS;
    return Math.min(this.#usable / 2, Math.sqrt(Math.min(perSample, this.arrivals * this.#seconds)));
  }
  get busyPeak(): number {
    return Math.min(this.#usable, this.busy + HIGHEST_OF_TEN * this.busyDeviation);
  }

  #lie(given: number): void {
    this.busy = given;
    this.waiting = 2 * given + 1;
    this.throttled = 1;
  }
}
