/** Measures instances several times a second, and keeps what it finds: minutes in memory, days on disk. */
import type { ChannelManager, ChannelStatus } from '../channel/contract.ts';
import type { EventLog } from '../core/events.ts';
import type { Journal } from '../core/journal.ts';
import { type Family, familiesOf, metricsText } from '../core/metric.ts';
import type { Kernel } from '../driver/index.ts';
import type { InstanceStatus } from '../instance/contract.ts';
import type { Clock } from '../sys/clock.ts';
import {
  type ChannelStats,
  Downsampler,
  GUEST_FILES,
  GUEST_FILES_WITH_PSI,
  GuestReader,
  type InstanceStats,
  METRIC_NAMES,
  type Point,
  type RequestStats,
  resample,
  rowOf,
  SampleRing,
  type StatsSeries,
  seriesOf,
} from './contract.ts';
import { daemonMetrics, instanceMetrics } from './metrics.ts';
import { type Measured, Readings } from './readings.ts';
import { REST_INTERVAL_MS, Rest } from './rest.ts';
import { COARSE, FINE, type Level, type StoredPoint, TelemetryStore } from './telemetry-store.ts';

/** Kept at full grain. */
const RING_MS = 10 * 60_000;
/** About so many points when nobody asks for a step. */
const POINTS = 300;

export interface TelemetryOptions {
  /** Of the database. */
  path: string;
  instances(): InstanceStatus[];
  channels: Pick<ChannelManager, 'list'>;
  /** What other capabilities have to say to Prometheus. */
  families(): Iterable<Family>;
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
  readings: Readings;
  rest: Rest;
  /** Of the last sample. */
  row: Float32Array | undefined;
  /** What its guest was asked for, and how often. */
  paths: readonly string[];
  askedMs: number;
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
  #rests = 0;
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
    const readings = new Readings(kernel.guest.hello?.cpus ?? 1, this.#intervalMs);
    const source: Source = {
      kernel,
      readings,
      rest: new Rest(),
      row: undefined,
      paths: GUEST_FILES_WITH_PSI,
      askedMs: 0,
      stopWatch: () => {},
    };
    entry.source = source;
    this.#ask(source, this.#intervalMs, (error) =>
      this.#options.journal.error(`measuring ${kernel.guest.name}`, error),
    );
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
    const now = this.#options.clock.now();
    return this.#options
      .instances()
      .map((status) => this.#statsOf(status, this.#entries.get(status.id)?.source?.readings.latest(now)));
  }

  /** What was last read of an instance anyway, for whoever looks often; undefined when no kernel of it runs. */
  seen(id: string): Pick<Readings, 'usage' | 'oomKills'> | undefined {
    return this.#entries.get(id)?.source?.readings;
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
    const nowMs = this.#options.clock.now();
    const self = {
      cpuSeconds: (user + system) / 1e6,
      residentBytes: process.memoryUsage.rss(),
      startedSeconds: (Date.now() - process.uptime() * 1000) / 1000,
      samplingSeconds: this.#samplingMs / 1000,
      samples: this.#samples,
      historyBytes: this.#store.bytes(),
    };
    const instances = this.stats().map((stats) => ({ ...stats, nowMs }));
    return metricsText([
      ...familiesOf(instanceMetrics, instances),
      ...this.#options.families(),
      ...familiesOf(daemonMetrics, [self]),
    ]);
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

  /** From now on the guest is read every `intervalMs`; `failed` when it ended already, or its line is down. */
  #ask(source: Source, intervalMs: number, failed: (error: unknown) => void): void {
    const { clock } = this.#options;
    const { paths } = source;
    const reader = new GuestReader(paths, intervalMs);
    try {
      source.stopWatch = source.kernel.guest.watch(paths, intervalMs, (snapshot) =>
        this.#timed(() => {
          const reading = reader.push(snapshot, clock.now());
          if (reading === undefined) return;
          source.readings.addGuest(reading);
          // Files that are not there need not be asked for at every sample.
          if (reading.pressure !== null || source.paths === GUEST_FILES) return;
          source.paths = GUEST_FILES;
          this.#ask(source, intervalMs, failed);
        }),
      );
      source.askedMs = intervalMs;
      source.readings.intervalMs = intervalMs;
    } catch (error) {
      failed(error);
    }
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
    const points: StoredPoint[] = [];
    for (const status of this.#options.instances()) {
      const { id } = status;
      const entry = this.#entries.get(id);
      if (entry?.source === undefined) continue;
      const { source } = entry;
      const row = this.#row(source, status, atMs);
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

  /** Of one at rest the last row again, unless there is more to say. */
  #row(source: Source, status: InstanceStatus, atMs: number): Float32Array {
    const { kernel, readings, rest } = source;
    if (rest.isResting) {
      const { name } = status.spec;
      const shared = { channels: this.#channels.get(name) ?? [], requests: this.#options.requestsOf(name) };
      const seen = { ranNs: () => kernel.ranNs?.(), heard: kernel.guest.heard };
      const still = !rest.stirs(seen, shared, atMs);
      if (still && source.row !== undefined && !readings.hasNews(atMs)) return source.row;
      if (!still) {
        readings.wasStill(rest.stillMs);
        rest.end();
      }
    }
    // Asked again until that succeeds: the line may be down for a while.
    if (!rest.isResting && source.askedMs !== this.#intervalMs) this.#ask(source, this.#intervalMs, () => {});
    readings.addHost(kernel.usage(rest.isResting), atMs);
    const stats = this.#statsOf(status, readings.row(atMs));
    if (!rest.isResting && rest.begins(stats, () => kernel.ranNs?.(), atMs))
      this.#ask(source, this.#restMs(), () => {});
    source.row = rowOf(stats);
    return source.row;
  }

  /** Not the same for all, so that they do not answer all at once. */
  #restMs(): number {
    this.#rests += 1;
    return Math.max(this.#intervalMs, REST_INTERVAL_MS + (this.#rests % 16) * 40);
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

  /** `measured`: undefined when no kernel runs. */
  #statsOf(status: InstanceStatus, measured: Measured | undefined): InstanceStats {
    const { id, spec, state, restarts, readyMs } = status;
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

function channelStats(channel: ChannelStatus, side: 'send' | 'recv'): { owner: string; channel: ChannelStats } {
  const { owner, messages, bytes, stalls, drops } = side === 'send' ? channel.from : channel.to;
  const { name, depthBytes, sizeBytes } = channel;
  return { owner, channel: { name, side, depthBytes, sizeBytes, messages, bytes, stalls, drops } };
}
