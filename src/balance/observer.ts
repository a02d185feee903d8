/** What telemetry says of kernels, in the words of policies. A guest's word is evidence: sizes are the ledger's, requests the host's. */
import type { InstanceStats } from '../telemetry/contract.ts';
import type { MemoryObservation, Observation } from './types.ts';

/** A kernel at rest is read every five seconds; one that says nothing for longer than this is not known. */
const UNKNOWN_MS = 8_000;
/** Samples from which peaks and deviations are taken. */
const RECENT = 10;
/** All of its CPUs: what is left is the reading itself. */
const FULL = 0.95;

interface Sample {
  at: string;
  busy: number;
  isShort: boolean;
}

const NOTHING: Observation = {
  ...{ known: false, cpus: 0, busy: 0, busyPeak: 0, busyDeviation: 0, waiting: 0, throttled: 0, work: 0 },
  ...{ arrivals: 0, finished: 0, queued: 0, late: 0, p99Ms: null },
};

export class Observer {
  readonly #recent = new Map<string, Sample[]>();

  /** `has`: its CPUs, or its share of some. `promiseMs`: of a service that leads to it; null = none. */
  observe(
    stats: InstanceStats | undefined,
    { cpus, isShare }: { cpus: number; isShare: boolean },
    promiseMs: number | null,
    nowMs: number,
  ): Observation {
    const guest = stats?.guest;
    if (!stats || !guest || guest.busy === null || nowMs - Date.parse(guest.at) > UNKNOWN_MS)
      return { ...NOTHING, cpus };
    const { runQueue } = guest;
    // One that is held to a share of a CPU believes itself busy while it is kept from running.
    const busy = isShare && stats.host !== null ? Math.min(stats.host.cpu, cpus) : guest.busy;
    // As many as it has vCPUs are at work, however slowly.
    const waiting = Math.max(0, (runQueue ?? 0) - Math.ceil(cpus));
    const isFull = busy >= cpus * FULL && (runQueue ?? 0) > (isShare ? 0 : cpus);
    const recent = this.#note(stats.id, { at: guest.at, busy, isShort: isFull });
    const mean = recent.reduce((sum, each) => sum + each.busy, 0) / recent.length;
    const squares = recent.reduce((sum, each) => sum + (each.busy - mean) ** 2, 0);
    const { requests } = stats;
    const p99Ms = requests?.latencyMs.p99 ?? null;
    return {
      known: true,
      cpus,
      busy,
      busyPeak: Math.max(...recent.map((each) => each.busy)),
      busyDeviation: recent.length < 2 ? 0 : Math.sqrt(squares / (recent.length - 1)),
      waiting,
      throttled: recent.filter(({ isShort }) => isShort).length / recent.length,
      work: 0,
      arrivals: requests?.ratePerSecond ?? 0,
      finished: requests?.ratePerSecond ?? 0,
      queued: Math.max(0, (requests?.inFlight ?? 0) - Math.ceil(cpus)),
      late: requests === null ? 0 : lateShare(requests.latencyMs, promiseMs),
      p99Ms,
    };
  }

  forgetAllBut(ids: ReadonlySet<string>): void {
    for (const id of this.#recent.keys()) if (!ids.has(id)) this.#recent.delete(id);
  }

  /** The same reading counts once. */
  #note(id: string, sample: Sample): readonly Sample[] {
    const recent = this.#recent.get(id) ?? [];
    if (recent.at(-1)?.at !== sample.at) recent.push(sample);
    if (recent.length > RECENT) recent.shift();
    this.#recent.set(id, recent);
    return recent;
  }
}

/** `bytes`: what it has. */
export function observeMemory(stats: InstanceStats | undefined, bytes: number, nowMs: number): MemoryObservation {
  const guest = stats?.guest;
  if (!guest?.memory || nowMs - Date.parse(guest.at) > UNKNOWN_MS)
    return { known: false, bytes, available: 0, stalled: null, majorFaults: null, refaults: null };
  return {
    known: true,
    bytes,
    available: Math.min(bytes, guest.memory.availableBytes),
    stalled: guest.pressure.seconds?.memory?.some ?? null,
    majorFaults: guest.faults?.majorPerSecond ?? null,
    refaults: guest.faults?.refaultsPerSecond ?? null,
  };
}

/** The least share of requests that must have been late for these percentiles to be what they are. */
function lateShare({ p50, p90, p99 }: Record<'p50' | 'p90' | 'p99', number | null>, promiseMs: number | null): number {
  if (promiseMs === null) return 0;
  const isLate = (latency: number | null) => latency !== null && latency > promiseMs;
  return isLate(p50) ? 0.5 : isLate(p90) ? 0.1 : isLate(p99) ? 0.01 : 0;
}
