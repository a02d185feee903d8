/** What went through a service: totals over all HAProxy processes there were, rates, and latencies of the last minutes. */
import { Histogram, Slices } from './histogram.ts';
import type { LoggedRequest } from './log.ts';
import { type Objective, objectivesOf } from './slo.ts';
import type { StatRow } from './stat.ts';
import type { LatencySummary, ServiceRecord, TrafficTotals } from './types.ts';

const SLICE_MS = 10_000;
/** Latencies are of so long, less what is missing of the slice under way. */
const WINDOW_MS = 5 * 60_000;
/** Rates are of the last so long. */
const RATE_MS = 10_000;

const NONE: TrafficTotals = { requests: 0, errors: 0, connectErrors: 0, retries: 0 };
const FIELDS = ['requests', 'errors', 'connectErrors', 'retries'] as const;

/** What HAProxy counts of one server, or of a service as a whole. */
class Counter {
  /** Of processes that are gone. */
  #before: TrafficTotals;
  /** By process. */
  readonly #seen = new Map<number, TrafficTotals & { inFlight: number }>();
  #samples: { at: number; requests: number; errors: number }[] = [];

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
    const { requests, errors } = this.totals;
    // The clock was set, or nobody looked for long: no rate can be told across that.
    const sinceMs = now - (this.#samples.at(-1)?.at ?? now);
    if (sinceMs < 0 || sinceMs > RATE_MS) this.#samples = [];
    this.#samples.push({ at: now, requests, errors });
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

  /** Requests, or errors, over the last ten seconds. */
  perSecond(now: number, of: 'requests' | 'errors' = 'requests'): number {
    const [first] = this.#samples;
    const last = this.#samples.at(-1);
    if (first === undefined || last === undefined || last.at <= first.at || last.at < now - RATE_MS) return 0;
    return Math.round(((last[of] - first[of]) / ((last.at - first.at) / 1000)) * 10) / 10;
  }
}

/** What an earlier daemon counted of a service: as a whole, and by instance. */
export interface SavedTotals {
  whole: TrafficTotals;
  targets: Record<string, TrafficTotals>;
}

interface TargetTraffic {
  counter: Counter;
  latencies: Slices<Histogram>;
}

export class Traffic {
  readonly whole: Counter;
  #targets = new Map<string, TargetTraffic>();
  #objectives: readonly Objective[] = [];
  readonly #before: SavedTotals | undefined;

  /** `before`: what save() gave. */
  constructor(record: ServiceRecord, now: number, before?: SavedTotals) {
    this.#before = before;
    this.whole = new Counter(before?.whole);
    this.become(record, now);
  }

  get objectives(): readonly Objective[] {
    return this.#objectives;
  }

  /** The service has changed: what is known of targets and promises that stay is kept. */
  become(record: ServiceRecord, now: number): void {
    this.#targets = new Map(
      record.targets.map(({ instance }) => [
        instance,
        this.#targets.get(instance) ?? {
          counter: new Counter(this.#before?.targets[instance]),
          latencies: new Slices(SLICE_MS, WINDOW_MS / SLICE_MS, () => new Histogram()),
        },
      ]),
    );
    this.#objectives = objectivesOf(record, now).map(
      (objective) => this.#objectives.find(({ text }) => text === objective.text) ?? objective,
    );
  }

  /** Of a target of the service. */
  target(instance: string): Counter {
    return this.#targets.get(instance)!.counter;
  }

  /** The totals without those of one process, for a later Traffic of the same service. */
  save(without: number): SavedTotals {
    const targets = [...this.#targets].map(
      ([instance, { counter }]) => [instance, counter.totalsWithout(without)] as const,
    );
    return { whole: this.whole.totalsWithout(without), targets: Object.fromEntries(targets) };
  }

  settle(pid: number): void {
    for (const counter of this.#counters()) counter.settle(pid);
  }

  add({ at: now, server, outcome, weight }: LoggedRequest): void {
    if (outcome === undefined) return;
    for (const objective of this.#objectives) objective.add(outcome, now, weight);
    if (outcome.microseconds !== undefined)
      this.#targets.get(server)?.latencies.at(now).add(outcome.microseconds, weight);
  }

  /** Of one target, or of all; of the last so many milliseconds, in slices of ten seconds. */
  latency(now: number, instance?: string, windowMs = WINDOW_MS): LatencySummary {
    const all = new Histogram();
    const chosen = instance === undefined ? [...this.#targets.values()] : [this.#targets.get(instance)!];
    for (const { latencies } of chosen) for (const histogram of latencies.last(windowMs, now)) all.merge(histogram);
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
      else this.#targets.get(row.server)?.counter.observe(pid, row);
    }
  }

  sample(now: number): void {
    for (const counter of this.#counters()) counter.sample(now);
  }

  #counters(): Counter[] {
    return [this.whole, ...[...this.#targets.values()].map(({ counter }) => counter)];
  }
}

const milliseconds = (microseconds: number | undefined): number | null =>
  microseconds === undefined ? null : Number((microseconds / 1000).toPrecision(4));

function add(a: TrafficTotals, b: TrafficTotals): TrafficTotals {
  const sum = { ...NONE };
  for (const field of FIELDS) sum[field] = a[field] + b[field];
  return sum;
}
