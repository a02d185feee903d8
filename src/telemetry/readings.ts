/** What is read of one kernel, by its guest and by the host, and the figures that are made of two readings. */
import type { HostUsage } from '../driver/index.ts';
import {
  busyOf,
  type GuestCounters,
  type GuestStats,
  guestRates,
  type HostCounters,
  type HostStats,
  hostRates,
  type InstanceStats,
} from './contract.ts';

/** What is shown as the latest is the mean of so long. */
const WINDOW_MS = 2_000;
/** Of the substitute for PSI. */
const QUEUE_WINDOW_MS = 10_000;
/** A reading older than this says nothing of now; of a guest that is read seldom, when the next is late by so much. */
const STALE_MS = 3_000;
const freshFor = (intervalMs: number): number => (intervalMs <= STALE_MS / 3 ? STALE_MS : STALE_MS + intervalMs);

export type Measured = Pick<InstanceStats, 'guest' | 'host'>;

/** INVARIANT: no more readings are held than those of a window and the one before. */
export class Readings {
  readonly #vcpus: number;
  #freshMs: number;
  /** Of the last WINDOW_MS and the one before. */
  readonly #guest: GuestCounters[] = [];
  readonly #host: HostCounters[] = [];
  #usage: HostUsage | undefined;
  /** Whether more tasks wanted to run than there are CPUs, at each reading. */
  #crowded: { atMs: number; value: boolean }[] = [];
  /** The readings that the last row was made up to. */
  #rowGuest: GuestCounters | undefined;
  #rowHost: HostCounters | undefined;
  #lastRow: Measured | undefined;
  /** Until when the kernel did not run, as far as there is no reading after that. */
  #stillMs: { guest: number | undefined; host: number | undefined } = { guest: undefined, host: undefined };

  /** `vcpus`: what a guest has that does not say; `intervalMs`: how often it is read. */
  constructor(vcpus: number, intervalMs: number) {
    this.#vcpus = vcpus;
    this.#freshMs = freshFor(intervalMs);
  }

  /** What the host was last read to have accounted to it: the same object while it was not read again. */
  get usage(): HostUsage | undefined {
    return this.#usage;
  }

  /** Processes that the guest's kernel had killed for want of memory by its last reading. */
  get oomKills(): number | null {
    return this.#guest.at(-1)?.oomKills ?? null;
  }

  /** From now on the guest is read at another interval. */
  set intervalMs(intervalMs: number) {
    this.#freshMs = freshFor(intervalMs);
  }

  /** Whether there is a reading of the guest that no row was made of, or what there is says nothing of now. */
  hasNews(now: number): boolean {
    const guest = this.#guest.at(-1);
    return guest === undefined || guest !== this.#rowGuest || !this.#isFresh(guest, now);
  }

  /**
   * The kernel did not run until `atMs`: all it had counted by then is what it had counted at its last reading. So what it
   * counts next was done since then.
   */
  wasStill(atMs: number): void {
    this.#stillMs = { guest: atMs, host: atMs };
  }

  addGuest(reading: GuestCounters): void {
    const { atMs, runnable, cpus } = reading;
    this.#beginAtStill(reading.atMs);
    keep(this.#guest, reading);
    const value = runnable !== null && runnable > (cpus ?? this.#vcpus);
    this.#crowded = [...this.#crowded.filter((each) => atMs - each.atMs < QUEUE_WINDOW_MS), { atMs, value }];
  }

  addHost(usage: HostUsage | undefined, atMs: number): void {
    // The same again: reading it was put off.
    if (usage !== undefined && usage !== this.#usage) {
      const [last, stillMs] = [this.#host.at(-1), this.#stillMs.host];
      this.#stillMs.host = undefined;
      if (last !== undefined && stillMs !== undefined && last.atMs < stillMs && stillMs < atMs) {
        this.#rowHost = { ...last, atMs: stillMs };
        keep(this.#host, this.#rowHost);
      }
      keep(this.#host, hostCounters(usage, atMs));
    }
    this.#usage = usage;
  }

  /** Before the first reading after it was still: never the last there is, for nobody has read it. */
  #beginAtStill(nextMs: number): void {
    const [last, atMs] = [this.#guest.at(-1), this.#stillMs.guest];
    this.#stillMs.guest = undefined;
    if (last === undefined || atMs === undefined || last.atMs >= atMs || atMs >= nextMs) return;
    const elapsedMs = atMs - last.atMs;
    const { cpuSeconds, cpus } = last;
    const idle = (cpuSeconds?.idle ?? 0) + (elapsedMs / 1000) * (cpus ?? this.#vcpus);
    this.#rowGuest = {
      ...last,
      atMs,
      guestMs: last.guestMs + elapsedMs,
      cpuSeconds: cpuSeconds && { ...cpuSeconds, idle },
    };
    keep(this.#guest, this.#rowGuest);
  }

  /** Over the last WINDOW_MS. */
  latest(now: number): Measured {
    const [guest, host] = [this.#guest.at(-1), this.#host.at(-1)];
    const crowded = this.#crowded.filter(({ value }) => value).length / Math.max(1, this.#crowded.length);
    return {
      guest: guest && this.#isFresh(guest, now) ? guestStats(this.#guest[0]!, guest, crowded) : null,
      host: host && this.#isFresh(host, now) ? hostStats(this.#host[0]!, host) : null,
    };
  }

  /** From the reading of the last row to the newest; the same again when there is no newer one yet. */
  row(now: number): Measured {
    const [guest, host, last] = [this.#guest.at(-1), this.#host.at(-1), this.#lastRow];
    // Of one sample the share is 0 or 1: the mean of many rows is the share.
    const crowded = Number(this.#crowded.at(-1)?.value ?? false);
    const row: Measured = { guest: null, host: null };
    if (guest !== undefined && this.#isFresh(guest, now))
      row.guest = guest === this.#rowGuest && last ? last.guest : guestStats(this.#rowGuest ?? guest, guest, crowded);
    if (host !== undefined && this.#isFresh(host, now))
      row.host = host === this.#rowHost && last ? last.host : hostStats(this.#rowHost ?? host, host);
    this.#rowGuest = guest;
    this.#rowHost = host;
    this.#lastRow = row;
    return row;
  }

  #isFresh({ atMs }: { atMs: number }, now: number): boolean {
    return now - Math.max(atMs, this.#stillMs.guest ?? atMs) <= this.#freshMs;
  }
}

/** Keeps those of the window, and one before it so that the window has a begin. */
function keep<T extends { atMs: number }>(readings: T[], reading: T): void {
  // A clock that was set back: no rate can be told across it.
  if ((readings.at(-1)?.atMs ?? 0) > reading.atMs) readings.length = 0;
  readings.push(reading);
  while (readings.length > 2 && reading.atMs - readings[1]!.atMs >= WINDOW_MS) readings.shift();
}

const iso = (atMs: number): string => new Date(atMs).toISOString();

/** `crowded`: share of samples with more runnable tasks than CPUs. */
function guestStats(before: GuestCounters, now: GuestCounters, crowded: number): GuestStats {
  const rates = guestRates(before, now);
  return {
    at: iso(now.atMs),
    cpus: now.cpus,
    cpuSeconds: now.cpuSeconds,
    cpu: rates.cpu,
    busy: rates.cpu && busyOf(rates.cpu),
    runQueue: now.runnable,
    blocked: now.blocked,
    pressure: {
      source: now.pressure === null ? 'run-queue' : 'psi',
      cpu: now.pressure === null ? (now.runnable === null ? null : crowded) : (rates.pressure?.cpu?.some ?? null),
      memory: rates.pressure?.memory?.some ?? null,
      io: rates.pressure?.io?.some ?? null,
      seconds: now.pressure,
    },
    memory: now.memory,
    faults: now.faults && {
      ...now.faults,
      ...(rates.faults ?? { minorPerSecond: 0, majorPerSecond: 0, refaultsPerSecond: 0 }),
    },
    disk: now.disk && {
      ...now.disk,
      ...(rates.disk ?? { readBytesPerSecond: 0, writtenBytesPerSecond: 0, readsPerSecond: 0, writesPerSecond: 0 }),
    },
    network: now.network && {
      ...now.network,
      ...(rates.network ?? {
        receivedBytesPerSecond: 0,
        sentBytesPerSecond: 0,
        receivedPacketsPerSecond: 0,
        sentPacketsPerSecond: 0,
        faultsPerSecond: 0,
      }),
    },
  };
}

function hostCounters({ vcpus, othersRanNs, residentBytes }: HostUsage, atMs: number): HostCounters {
  return {
    atMs,
    vcpus: vcpus.map(({ ranNs, waitedNs }) => ({ ranSeconds: ranNs / 1e9, delaySeconds: waitedNs / 1e9 })),
    othersSeconds: othersRanNs / 1e9,
    residentBytes,
  };
}

function hostStats(before: HostCounters, now: HostCounters): HostStats {
  const rates = hostRates(before, now);
  return {
    at: iso(now.atMs),
    cpu: rates?.cpu ?? 0,
    delay: rates?.delay ?? 0,
    overGuest: null,
    others: rates?.others ?? 0,
    othersSeconds: now.othersSeconds,
    vcpus: now.vcpus.map((counters, at) => ({ ...counters, ...(rates?.vcpus[at] ?? { cpu: 0, delay: 0 }) })),
    residentBytes: now.residentBytes,
  };
}
