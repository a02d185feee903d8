/** A tenant request by request: a queue, first come first served, before as many threads as it has CPUs. What the fluid is checked with. */
import { random } from '../policy/random.ts';
import { type Engine, type Given, slowdown, TOLERATED } from './engine.ts';
import { Latencies } from './latencies.ts';
import { ServiceTimes } from './service-times.ts';
import type { Tenant } from './types.ts';

const SAMPLE_SECONDS = 0.1;

export class Events implements Engine {
  readonly known = true;
  cpus: number;
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
  violated = 0;
  readonly #tenant: Tenant;
  readonly #latencies: Latencies | undefined;
  readonly #times: ServiceTimes;
  readonly #random: () => number;
  #now = 0;
  #length = 1;
  #arrived = 0;
  #next = Number.NaN;
  /** Requests that wait: when they came, from `#head` on. */
  #queue: number[] = [];
  #head = 0;
  /** When the busy CPUs will be free. */
  #ends: number[] = [];
  /** By second of arrival: how many came, how many of them were late or shed. */
  readonly #came: number[] = [];
  readonly #bad: number[] = [];
  #usage = new Float64Array(1);

  constructor(tenant: Tenant, seed: number, latencies?: Latencies) {
    this.#tenant = tenant;
    this.#latencies = latencies;
    this.cpus = tenant.entitlement;
    this.#times = new ServiceTimes(tenant.variation);
    this.#random = random(seed);
  }

  step(rate: number, { early, later, at, seconds }: Given): void {
    const tenant = this.#tenant;
    const given = early * at + later * (1 - at);
    const from = this.#now;
    const until = Math.round((from + seconds) * 1e6) / 1e6;
    while (this.#came.length < Math.ceil(until)) {
      this.#came.push(0);
      this.#bad.push(0);
    }
    this.#length = seconds;
    this.#usage = new Float64Array(Math.max(1, Math.round(seconds / SAMPLE_SECONDS)));
    if (tenant.kind === 'batch') {
      this.busy = this.busyPeak = Math.min(given, tenant.parallelism);
      this.work = this.busy * seconds;
      this.waiting = this.throttled = given <= tenant.parallelism ? 1 : 0;
    } else {
      const finishedBefore = this.#finished;
      const latencies = new Latencies();
      const service = (tenant.serviceMs / 1000) * slowdown(tenant, rate);
      this.#arrived = 0;
      this.#run(from, from + at * seconds, rate, early, service, latencies);
      this.#run(from + at * seconds, until, rate, later, service, latencies);
      this.#tell(given, this.#finished - finishedBefore, latencies, seconds);
    }
    if (tenant.lies === true) {
      this.busy = this.busyPeak = given;
      this.waiting = 2 * given + 1;
      this.throttled = 1;
    }
    this.#now = until;
  }
  #finished = 0;
  #lateFinished = 0;
  #shed = 0;

  /** From `from` to `until` with `cpus`; a CPU that leaves ends its request first. */
  #run(from: number, until: number, rate: number, cpus: number, service: number, latencies: Latencies): void {
    const tenant = this.#tenant;
    const usable = Math.min(cpus, tenant.parallelism);
    const threads = Math.max(usable > 0 ? 1 : 0, Math.round(usable));
    const duration = service / Math.min(1, usable);
    const gap = () => -Math.log(1 - this.#random()) / rate;
    let now = from;
    if (rate > 0) this.#next = from + gap();
    else this.#next = Number.POSITIVE_INFINITY;
    for (;;) {
      while (this.#ends.length < threads && this.#head < this.#queue.length)
        this.#serve(now, this.#queue[this.#head++]!, duration, latencies);
      if (this.#head > 1024 && this.#head * 2 > this.#queue.length) {
        this.#queue = this.#queue.slice(this.#head);
        this.#head = 0;
      }
      const end = this.#ends[0] ?? Number.POSITIVE_INFINITY;
      const next = Math.min(end, this.#next);
      this.#account(now, Math.min(next, until), Math.min(this.#ends.length, threads));
      if (next >= until) break;
      now = next;
      if (end <= this.#next) {
        pop(this.#ends);
        this.#finished++;
        continue;
      }
      const second = Math.floor(now);
      this.#came[second]!++;
      this.#arrived++;
      this.#next = now + gap();
      if (this.#ends.length < threads) this.#serve(now, now, duration, latencies);
      else if (this.#queue.length - this.#head < tenant.queueLimit) this.#queue.push(now);
      else {
        this.#bad[second]!++;
        this.#shed++;
      }
    }
  }

  #serve(now: number, came: number, duration: number, latencies: Latencies): void {
    const time = duration * this.#times.at(this.#random());
    push(this.#ends, now + time);
    const latency = now - came + time;
    this.#latencies?.add(latency, 1);
    latencies.add(latency, 1);
    const { promiseMs } = this.#tenant;
    if (promiseMs === null || latency * 1000 <= promiseMs) return;
    this.#bad[Math.floor(came)]!++;
    this.#lateFinished++;
  }

  #account(from: number, until: number, busy: number): void {
    if (busy === 0) return;
    const { length } = this.#usage;
    const perSecond = length / this.#length;
    for (let time = from; time < until; ) {
      const sample = Math.min(length - 1, Math.floor((time - this.#now) * perSecond + 1e-9));
      const border = sample === length - 1 ? until : Math.min(until, this.#now + (sample + 1) / perSecond);
      this.#usage[sample]! += busy * (border - time) * perSecond;
      time = Math.max(border, time + 1e-9);
    }
  }

  #tell(given: number, finished: number, latencies: Latencies, seconds: number): void {
    const { parallelism } = this.#tenant;
    const usable = Math.min(given, parallelism);
    this.arrivals = this.#arrived / seconds;
    this.finished = finished / seconds;
    this.queued = this.#queue.length - this.#head;
    const { length } = this.#usage;
    this.busy = this.#usage.reduce((a, b) => a + b, 0) / length;
    this.busyPeak = this.#usage.reduce((a, b) => Math.max(a, b), 0);
    const spread = this.#usage.reduce((sum, each) => sum + (each - this.busy) ** 2, 0);
    this.busyDeviation = length > 1 ? Math.sqrt(spread / (length - 1)) : 0;
    const full = this.#usage.reduce((sum, each) => sum + (each > usable - 0.05 ? 1 : 0), 0);
    const isShort = given <= parallelism;
    this.waiting = isShort ? this.queued : 0;
    this.throttled = isShort ? full / length : 0;
    const outcomes = Math.max(1, finished + this.#shed);
    this.late = (this.#lateFinished + this.#shed) / outcomes;
    this.p99Ms = finished > 0 ? latencies.quantile(0.99) * 1000 : null;
    this.#lateFinished = 0;
    this.#shed = 0;
  }

  /** What still waits has been waiting since it came: late, if its promise is over. */
  finish(): void {
    const { promiseMs } = this.#tenant;
    for (const came of this.#queue.slice(this.#head)) {
      if (promiseMs !== null && (this.#now - came) * 1000 > promiseMs) this.#bad[Math.floor(came)]!++;
    }
    this.violated = this.#came.filter((came, second) => this.#bad[second]! > TOLERATED * came).length;
  }
}

/** A heap with the least first. */
function push(heap: number[], value: number): void {
  let index = heap.push(value) - 1;
  while (index > 0) {
    const parent = (index - 1) >> 1;
    if (heap[parent]! <= value) break;
    heap[index] = heap[parent]!;
    index = parent;
  }
  heap[index] = value;
}

function pop(heap: number[]): void {
  const last = heap.pop()!;
  if (heap.length === 0) return;
  let index = 0;
  for (;;) {
    let child = 2 * index + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && heap[child + 1]! < heap[child]!) child++;
    if (heap[child]! >= last) break;
    heap[index] = heap[child]!;
    index = child;
  }
  heap[index] = last;
}
