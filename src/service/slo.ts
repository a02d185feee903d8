/** Whether what is promised of a service is kept: good and bad requests in two windows, and how fast the budget burns. */
import { Slices } from './histogram.ts';
import type { BurnWindow, ObjectiveStatus, ServiceRecord } from './types.ts';

const SLICE_MS = 10_000;
const SHORT_MS = 5 * 60_000;
const LONG_MS = 60 * 60_000;

interface Count {
  total: number;
  bad: number;
}

/** One request, as far as promises go. */
export interface Outcome {
  /** Answered, in http mode by a status below 500. */
  ok: boolean;
  /** undefined when it was not answered. */
  microseconds: number | undefined;
}

/** One promise and what became of it. Times are milliseconds since 1970. */
export class Objective {
  readonly kind: ObjectiveStatus['kind'];
  readonly text: string;
  /** Share of good requests that is promised. */
  readonly target: number;
  readonly #limit: number;
  readonly #counts = new Slices<Count>(SLICE_MS, LONG_MS / SLICE_MS, () => ({ total: 0, bad: 0 }));
  #lost = false;
  #since: number;

  /** `milliseconds` is what a good request takes at most. */
  constructor(kind: ObjectiveStatus['kind'], percent: number, milliseconds: number | undefined, now: number) {
    this.kind = kind;
    this.target = percent / 100;
    this.#limit = milliseconds === undefined ? Number.POSITIVE_INFINITY : milliseconds * 1000;
    this.text = milliseconds === undefined ? `availability ≥ ${percent} %` : `p${percent} ≤ ${milliseconds} ms`;
    this.#since = now;
  }

  /** `weight`: how many such requests. One that was not answered is not counted against latency: that is what availability is for. */
  add({ ok, microseconds }: Outcome, now: number, weight = 1): void {
    if (this.kind === 'latency' && (!ok || microseconds === undefined)) return;
    const count = this.#counts.at(now);
    count.total += weight;
    if (!ok || (microseconds ?? 0) > this.#limit) count.bad += weight;
  }

  /**
   * Looks at it anew; `lost` or `regained` when that has changed. Lost while both windows burn faster than allowed: the long
   * one tells that it matters, the short one that it goes on.
   */
  judge(now: number): 'lost' | 'regained' | undefined {
    const [short, long] = this.#burn(now);
    const lost = short!.burnRate > 1 && long!.burnRate > 1;
    if (lost === this.#lost) return undefined;
    this.#lost = lost;
    this.#since = now;
    return lost ? 'lost' : 'regained';
  }

  status(now: number): ObjectiveStatus {
    const burn = this.#burn(now);
    const { requests, bad } = burn[1]!;
    const allowed = requests * (1 - this.target);
    return {
      kind: this.kind,
      text: this.text,
      target: this.target,
      state: this.#lost ? 'lost' : requests === 0 ? 'none' : 'met',
      since: new Date(this.#since).toISOString(),
      attainment: requests === 0 ? null : (requests - bad) / requests,
      budget: {
        allowed: rounded(allowed),
        spent: bad,
        left: requests === 0 ? 1 : rounded(Math.max(0, 1 - bad / allowed)),
      },
      burn,
    };
  }

  /** What happened, in words. */
  evidence(now: number): string {
    const text = this.#burn(now).map(
      ({ window, requests, bad, burnRate }) => `${bad} of ${requests} bad in ${window} (burn rate ${burnRate})`,
    );
    return `${this.text}: ${text.join(', ')}`;
  }

  #burn(now: number): BurnWindow[] {
    return (['5m', '1h'] as const).map((window) => {
      const counts = this.#counts.last(window === '5m' ? SHORT_MS : LONG_MS, now);
      const requests = counts.reduce((sum, { total }) => sum + total, 0);
      const bad = counts.reduce((sum, each) => sum + each.bad, 0);
      return { window, requests, bad, burnRate: requests === 0 ? 0 : rounded(bad / requests / (1 - this.target)) };
    });
  }
}

/** The promises of a service. */
export function objectivesOf({ slo: { latency, availability } }: Pick<ServiceRecord, 'slo'>, now: number): Objective[] {
  const objectives: Objective[] = [];
  if (latency !== null) objectives.push(new Objective('latency', latency.percentile, latency.milliseconds, now));
  if (availability !== null) objectives.push(new Objective('availability', availability, undefined, now));
  return objectives;
}

/** 1 - 0.999 is not quite 0.001. */
const rounded = (value: number): number => Number(value.toFixed(4));
