/** What went through a service: totals over all HAProxy processes there were, rates, and latencies of the last minutes. */
import { slotName } from './config.ts';
import { Histogram, Slices } from './histogram.ts';
import type { LoggedRequest } from './log.ts';
import { type Objective, objectivesOf } from './slo.ts';
import type { StatRow } from './stat.ts';
import type { LatencySummary, ServiceRecord, TrafficTotals } from './types.ts';

const SLICE_MS = 60_000;
/** Latencies are of so long, and of up to a minute less just after a minute has begun. */
const WINDOW_MS = 5 * SLICE_MS;
/** Rates are of the last so long. */
const RATE_MS = 10_000;

const NONE: TrafficTotals = { requests: 0, errors: 0, connectErrors: 0, retries: 0 };
const FIELDS = ['requests', 'errors', 'connectErrors', 'retries'] as const;

/** What HAProxy counts of one server, or of a service as a whole. */
export class Counter {
  /** Of processes that are gone. */
  #before: TrafficTotals;
  /** By process. */
  readonly #seen = new Map<number, TrafficTotals & { inFlight: number }>();
  #samples: { at: number; requests: number }[] = [];

  constructor(before: TrafficTotals = NONE) {
    this.#before = before;
  }

  get totals(): TrafficTotals {
    return this.totalsWithout(undefined);
  }

  get inFlight(): number {
    return [...this.#seen.values()].reduce((sum, { inFlight }) => sum + inFlight, 0);
  }

  totalsWithout(process: number | undefined): TrafficTotals {
    return [...this.#seen].reduce((sum, [pid, seen]) => (pid === process ? sum : add(sum, seen)), this.#before);
  }

  observe(pid: number, row: StatRow): void {
    this.#seen.set(pid, row);
  }

  /** For rates. */
  sample(now: number): void {
    this.#samples.push({ at: now, requests: this.totals.requests });
    // One sample from before the window stays, to measure from.
    while (this.#samples.length > 2 && this.#samples[1]!.at <= now - RATE_MS) this.#samples.shift();
  }

  /** The process is gone. */
  settle(pid: number): void {
    const seen = this.#seen.get(pid);
    if (seen === undefined) return;
    this.#before = add(this.#before, seen);
    this.#seen.delete(pid);
  }

  perSecond(now: number): number {
    const [first] = this.#samples;
    const last = this.#samples.at(-1);
    if (first === undefined || last === undefined || last.at <= first.at || last.at < now - RATE_MS) return 0;
    return Math.round(((last.requests - first.requests) / ((last.at - first.at) / 1000)) * 10) / 10;
  }
}

export class Traffic {
  readonly whole: Counter;
  readonly slots: readonly Counter[];
  readonly objectives: readonly Objective[];
  readonly #latencies: readonly Slices<Histogram>[];

  /** `before`: what save() gave. */
  constructor(record: ServiceRecord, now: number, before: readonly TrafficTotals[] = []) {
    this.whole = new Counter(before[0]);
    this.slots = record.targets.map((_, index) => new Counter(before[index + 1]));
    this.objectives = objectivesOf(record, now);
    this.#latencies = record.targets.map(() => new Slices(SLICE_MS, WINDOW_MS / SLICE_MS, () => new Histogram()));
  }

  /** The totals without those of one process, for a later Traffic of the same service. */
  save(without: number): TrafficTotals[] {
    return this.#counters.map((counter) => counter.totalsWithout(without));
  }

  settle(pid: number): void {
    for (const counter of this.#counters) counter.settle(pid);
  }

  add({ at: now, server, outcome }: LoggedRequest): void {
    if (outcome === undefined) return;
    for (const objective of this.objectives) objective.add(outcome, now);
    const slot = this.#latencies[Number(/^s(\d+)$/.exec(server)?.[1] ?? -1)];
    if (outcome.microseconds !== undefined) slot?.at(now).add(outcome.microseconds);
  }

  /** Of one slot, or of all. */
  latency(now: number, slot?: number): LatencySummary {
    const all = new Histogram();
    const chosen = slot === undefined ? this.#latencies : [this.#latencies[slot]!];
    for (const slices of chosen) for (const histogram of slices.last(WINDOW_MS, now)) all.merge(histogram);
    const at = (percentile: number) => milliseconds(all.percentile(percentile));
    return {
      samples: all.count,
      p50: at(50),
      p90: at(90),
      p99: at(99),
      p999: at(99.9),
      max: all.count === 0 ? null : milliseconds(all.max),
    };
  }

  /** `rows` of this service: its backend and its servers. */
  observe(pid: number, rows: readonly StatRow[]): void {
    for (const row of rows) {
      if (row.server === 'BACKEND') this.whole.observe(pid, row);
      const index = this.slots.findIndex((_, each) => slotName(each) === row.server);
      this.slots[index]?.observe(pid, row);
    }
  }

  sample(now: number): void {
    for (const counter of this.#counters) counter.sample(now);
  }

  get #counters(): Counter[] {
    return [this.whole, ...this.slots];
  }
}

const milliseconds = (microseconds: number | undefined): number | null =>
  microseconds === undefined ? null : Number((microseconds / 1000).toPrecision(4));

function add(a: TrafficTotals, b: TrafficTotals): TrafficTotals {
  const sum = { ...NONE };
  for (const field of FIELDS) sum[field] = a[field] + b[field];
  return sum;
}
