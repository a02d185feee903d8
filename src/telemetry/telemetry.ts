/** Measures instances several times a second, and keeps what it finds: minutes in memory, days on disk. */
import type { ChannelManager, ChannelStatus } from '../channel/contract.ts';
import type { EventLog } from '../core/events.ts';
import type { Journal } from '../core/journal.ts';
import type { HostUsage, Kernel } from '../driver/index.ts';
import type { InstanceStatus } from '../instance/contract.ts';
import type { ServiceStatus } from '../service/contract.ts';
import type { Clock } from '../sys/clock.ts';
import {
  busyOf,
  type ChannelStats,
  Downsampler,
  GUEST_FILES,
  GUEST_FILES_WITH_PSI,
  type GuestCounters,
  GuestReader,
  type GuestStats,
  guestRates,
  type HostCounters,
  type HostStats,
  hostRates,
  type InstanceStats,
  METRIC_NAMES,
  metricsText,
  type Point,
  type RequestStats,
  resample,
  rowOf,
  SampleRing,
  type StatsSeries,
  seriesOf,
} from './contract.ts';
import { COARSE, FINE, type Level, type StoredPoint, TelemetryStore } from './telemetry-store.ts';

/** Kept at full grain. */
const RING_MS = 10 * 60_000;
/** What is shown as the latest is the mean of so long. */
const WINDOW_MS = 2_000;
/** Of the substitute for PSI. */
const QUEUE_WINDOW_MS = 10_000;
/** A reading older than this, or than so many intervals, says nothing of now. */
const STALE_MS = 3_000;
const STALE_INTERVALS = 3;
/** About so many points when nobody asks for a step. */
const POINTS = 300;

export interface TelemetryOptions {
  /** Of the database. */
  path: string;
  instances(): InstanceStatus[];
  channels: Pick<ChannelManager, 'list'>;
  /** As last looked at. */
  services(): readonly ServiceStatus[];
  /** What came to an instance; null when nothing counts it. */
  requestsOf(instance: string): RequestStats | null;
  events: Pick<EventLog, 'listen'>;
  clock: Clock;
  journal: Journal;
  /** 1 to 10. */
  samplesPerSecond: number;
  /** Bound of the database. */
  maxBytes?: number;
}

/** A kernel that runs. */
interface Source {
  kernel: Kernel;
  vcpus: number;
  /** Readings of the last WINDOW_MS and the one before. */
  guest: GuestCounters[];
  host: HostCounters[];
  usage: HostUsage | undefined;
  /** The readings that the last row was made up to. */
  rowGuest: GuestCounters | undefined;
  rowHost: HostCounters | undefined;
  lastRow: Pick<InstanceStats, 'guest' | 'host'> | undefined;
  /** Whether more tasks wanted to run than there are CPUs, at each reading. */
  crowded: { atMs: number; value: boolean }[];
  stopWatch(): void;
}

interface Entry {
  ring: SampleRing;
  fine: Downsampler;
  coarse: Downsampler;
  source: Source | undefined;
}

/**
 * INVARIANTS
 * - What a guest sends is only ever numbers of its own instance: it is parsed by src/telemetry and nothing else.
 * - Nothing here can fail an instance: errors go to the journal.
 * - Without a kernel there is no timer.
 */
export class Telemetry {
  readonly #options: TelemetryOptions;
  readonly #intervalMs: number;
  readonly #store: TelemetryStore;
  readonly #entries = new Map<string, Entry>();
  readonly #stopListening: () => void;
  #channels = new Map<string, ChannelStats[]>();
  #cancelTick: (() => void) | undefined;
  #closed = false;
  #samples = 0;
  #samplingMs = 0;

  constructor(options: TelemetryOptions) {
    this.#options = options;
    this.#intervalMs = Math.round(1000 / Math.min(10, Math.max(1, options.samplesPerSecond)));
    const { path, maxBytes, journal, events } = options;
    this.#store = new TelemetryStore({
      path,
      columns: METRIC_NAMES,
      maxBytes,
      complain: (text, error) => journal.error(text, error),
    });
    this.#stopListening = events.listen(({ type, id }) => {
      if (type === 'removed' && this.#entries.delete(id)) this.#store.forget(id);
    });
  }

  /** A kernel is ready or was found again: it is measured until it ends. */
  kernelUp(id: string, kernel: Kernel): void {
    const entry = this.#entries.get(id) ?? this.#add(id);
    entry.source?.stopWatch();
    const source: Source = {
      kernel,
      vcpus: kernel.guest.hello?.cpus ?? 1,
      guest: [],
      host: [],
      usage: undefined,
      rowGuest: undefined,
      rowHost: undefined,
      lastRow: undefined,
      crowded: [],
      stopWatch: () => {},
    };
    entry.source = source;
    this.#watch(source, GUEST_FILES_WITH_PSI);
    void kernel.exited.then(() => {
      if (entry.source === source) entry.source = undefined;
    });
    this.#arm();
  }

  /** After a start: what was kept of instances that are gone. */
  forgetAllBut(ids: ReadonlySet<string>): void {
    this.#store.forgetAllBut(ids);
  }

  /** The latest of all instances, in the order they were made. */
  stats(): InstanceStats[] {
    this.#readChannels();
    return this.#options.instances().map((status) => this.#statsOf(status, WINDOW_MS));
  }

  /** The last `sinceMs` milliseconds of an instance, in steps of about `stepMs`. */
  series(name: string, id: string, sinceMs: number, stepMs?: number): StatsSeries {
    const now = this.#options.clock.now();
    const begin = now - sinceMs;
    const wanted = stepMs ?? sinceMs / POINTS;
    const inRing = sinceMs <= RING_MS && wanted < FINE.stepSeconds * 1000;
    const level = sinceMs <= FINE.keepSeconds * 1000 && wanted < COARSE.stepSeconds * 1000 ? FINE : COARSE;
    const least = inRing ? this.#intervalMs : level.stepSeconds * 1000;
    const step = Math.max(least, stepMs ?? Math.ceil(wanted / least) * least);
    const points = inRing ? this.#recent(id, begin) : this.#kept(id, level, begin);
    return { name, id, ...seriesOf(resample(points, step, METRIC_NAMES.length), METRIC_NAMES, step) };
  }

  /** For Prometheus. */
  metrics(): string {
    const { user, system } = process.cpuUsage();
    const now = this.#options.clock.now();
    const self = {
      cpuSeconds: (user + system) / 1e6,
      residentBytes: process.memoryUsage.rss(),
      startedSeconds: (Date.now() - process.uptime() * 1000) / 1000,
      samplingSeconds: this.#samplingMs / 1000,
      samples: this.#samples,
      historyBytes: this.#store.bytes(),
    };
    return metricsText(this.stats(), this.#options.channels.list(), this.#options.services(), self, now);
  }

  /** Without `farewell` the steps under way are lost, as after SIGKILL. */
  close(farewell = true): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#stopListening();
    this.#cancelTick?.();
    const points: StoredPoint[] = [];
    for (const [id, { fine, coarse }] of this.#entries) {
      const last = fine.pending();
      if (last !== undefined) {
        points.push({ id, level: FINE, point: last });
        coarse.add(last.atMs, last.mean, last.peak);
      }
      const rest = coarse.pending();
      if (rest !== undefined) points.push({ id, level: COARSE, point: rest });
    }
    if (farewell) this.#store.put(points, this.#options.clock.now());
    this.#store.close();
  }

  #add(id: string): Entry {
    const columns = METRIC_NAMES.length;
    const entry: Entry = {
      ring: new SampleRing(Math.ceil(RING_MS / this.#intervalMs), columns),
      fine: new Downsampler(FINE.stepSeconds * 1000, columns),
      coarse: new Downsampler(COARSE.stepSeconds * 1000, columns),
      source: undefined,
    };
    this.#entries.set(id, entry);
    return entry;
  }

  #watch(source: Source, paths: readonly string[]): void {
    const reader = new GuestReader(paths, this.#intervalMs);
    const { clock, journal } = this.#options;
    try {
      source.stopWatch = source.kernel.guest.watch(paths, this.#intervalMs, (snapshot) =>
        this.#timed(() => {
          const reading = reader.push(snapshot, clock.now());
          if (reading === undefined) return;
          this.#received(source, reading);
          // Files that are not there need not be asked for at every sample.
          if (reading.pressure === null && paths === GUEST_FILES_WITH_PSI) this.#watch(source, GUEST_FILES);
        }),
      );
    } catch (error) {
      // It ended already, or its line is down.
      journal.error(`measuring ${source.kernel.guest.name}`, error);
    }
  }

  #received(source: Source, reading: GuestCounters): void {
    const { atMs, runnable, cpus } = reading;
    keep(source.guest, reading);
    const value = runnable !== null && runnable > (cpus ?? source.vcpus);
    source.crowded = [...source.crowded.filter((each) => atMs - each.atMs < QUEUE_WINDOW_MS), { atMs, value }];
  }

  #arm(): void {
    if (this.#cancelTick !== undefined || this.#closed) return;
    this.#cancelTick = this.#options.clock.after(this.#intervalMs, () => {
      this.#cancelTick = undefined;
      if (![...this.#entries.values()].some(({ source }) => source !== undefined)) return;
      this.#arm();
      try {
        this.#timed(() => this.#tick());
      } catch (error) {
        this.#options.journal.error('measuring instances', error);
      }
    });
  }

  #tick(): void {
    const atMs = this.#options.clock.now();
    this.#readChannels();
    const statuses = new Map(this.#options.instances().map((status) => [status.id, status]));
    const points: StoredPoint[] = [];
    for (const [id, entry] of this.#entries) {
      const { source } = entry;
      const status = statuses.get(id);
      if (source === undefined || status === undefined) continue;
      const usage = source.kernel.usage();
      // The same again: reading it was put off.
      if (usage !== undefined && usage !== source.usage) keep(source.host, hostCounters(usage, atMs));
      source.usage = usage;
      const row = rowOf(this.#statsOf(status, 0));
      this.#samples += 1;
      entry.ring.push(atMs, row);
      const fine = entry.fine.add(atMs, row);
      if (fine === undefined) continue;
      points.push({ id, level: FINE, point: fine });
      const coarse = entry.coarse.add(fine.atMs, fine.mean, fine.peak);
      if (coarse !== undefined) points.push({ id, level: COARSE, point: coarse });
    }
    this.#store.put(points, atMs);
  }

  #readChannels(): void {
    const byOwner = new Map<string, ChannelStats[]>();
    for (const channel of this.#options.channels.list()) {
      for (const side of ['send', 'recv'] as const) {
        const stats = channelStats(channel, side);
        byOwner.set(stats.owner, [...(byOwner.get(stats.owner) ?? []), stats.channel]);
      }
    }
    this.#channels = byOwner;
  }

  /** Rates over the last `windowMs`; 0: since the last row, which this makes. */
  #statsOf(status: InstanceStatus, windowMs: number): InstanceStats {
    const { id, spec, state, restarts, readyMs } = status;
    const source = this.#entries.get(id)?.source;
    const now = this.#options.clock.now();
    const measured =
      source === undefined ? undefined : windowMs > 0 ? this.#latest(source, now) : this.#row(source, now);
    const { guest = null, host = null } = measured ?? {};
    const at = host?.at ?? guest?.at ?? null;
    if (host !== null && guest?.busy != null) host.overGuest = Math.max(0, host.cpu - guest.busy);
    return {
      name: spec.name,
      id,
      state,
      driver: spec.driver,
      vcpus: spec.cpus,
      memoryBytes: spec.memoryBytes,
      at,
      restarts,
      readyMs,
      guest,
      host,
      channels: this.#channels.get(spec.name) ?? [],
      requests: this.#options.requestsOf(spec.name),
    };
  }

  #latest(source: Source, now: number): Pick<InstanceStats, 'guest' | 'host'> {
    const [guest, host] = [source.guest.at(-1), source.host.at(-1)];
    const crowded = source.crowded.filter(({ value }) => value).length / Math.max(1, source.crowded.length);
    return {
      guest: guest && this.#isFresh(guest, now) ? guestStats(source.guest[0]!, guest, crowded) : null,
      host: host && this.#isFresh(host, now) ? hostStats(source.host[0]!, host) : null,
    };
  }

  /** From the reading of the last row to the newest; the same again when there is no newer one yet. */
  #row(source: Source, now: number): Pick<InstanceStats, 'guest' | 'host'> {
    const { rowGuest, rowHost, lastRow } = source;
    const [guest, host] = [source.guest.at(-1), source.host.at(-1)];
    // Of one sample the share is 0 or 1: the mean of many rows is the share.
    const crowded = Number(source.crowded.at(-1)?.value ?? false);
    const row: Pick<InstanceStats, 'guest' | 'host'> = { guest: null, host: null };
    if (guest !== undefined && this.#isFresh(guest, now))
      row.guest = guest === rowGuest && lastRow ? lastRow.guest : guestStats(rowGuest ?? guest, guest, crowded);
    if (host !== undefined && this.#isFresh(host, now))
      row.host = host === rowHost && lastRow ? lastRow.host : hostStats(rowHost ?? host, host);
    source.rowGuest = guest;
    source.rowHost = host;
    source.lastRow = row;
    return row;
  }

  #isFresh({ atMs }: { atMs: number }, now: number): boolean {
    return now - atMs <= Math.max(STALE_MS, STALE_INTERVALS * this.#intervalMs);
  }

  /** Minutes: the ring, and before its begin what an earlier daemon left on disk. */
  #recent(id: string, begin: number): Point[] {
    const ring = [...(this.#entries.get(id)?.ring.since(begin) ?? [])];
    const first = ring[0]?.atMs ?? Number.POSITIVE_INFINITY;
    const older = this.#store.read(id, FINE, begin).filter(({ atMs }) => atMs + FINE.stepSeconds * 1000 <= first);
    return [...older, ...ring.map(({ atMs, row }) => ({ atMs, mean: row, peak: row }))];
  }

  #kept(id: string, level: Level, begin: number): Point[] {
    const stored = this.#store.read(id, level, begin);
    const entry = this.#entries.get(id);
    const under = level === FINE ? [entry?.fine.pending()] : [entry?.coarse.pending(), entry?.fine.pending()];
    const last = stored.at(-1)?.atMs ?? begin;
    return [...stored, ...under.filter((point): point is Point => point !== undefined && point.atMs >= last)];
  }

  #timed(action: () => void): void {
    const before = process.threadCpuUsage();
    action();
    const { user, system } = process.threadCpuUsage();
    this.#samplingMs += (user + system - before.user - before.system) / 1000;
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
    faults: now.faults && { ...now.faults, ...(rates.faults ?? { minorPerSecond: 0, majorPerSecond: 0 }) },
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

function channelStats(channel: ChannelStatus, side: 'send' | 'recv'): { owner: string; channel: ChannelStats } {
  const { owner, messages, bytes, stalls, drops } = side === 'send' ? channel.from : channel.to;
  const { name, depthBytes, sizeBytes } = channel;
  return { owner, channel: { name, side, depthBytes, sizeBytes, messages, bytes, stalls, drops } };
}
