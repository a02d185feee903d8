/** The services of a daemon: made, changed and removed, and what can be said of them. */
import { randomBytes } from 'node:crypto';
import type { EventLog } from '../core/events.ts';
import type { Journal } from '../core/journal.ts';
import { Mutex } from '../core/mutex.ts';
import type { Records } from '../core/table.ts';
import { type Clock, timestamp } from '../sys/clock.ts';
import { asPolykernelError, PolykernelError } from '../sys/errors.ts';
import type { RequestStats } from '../telemetry/contract.ts';
import type {
  Endpoints,
  ServiceManager,
  ServiceRecord,
  ServiceRequest,
  ServiceStatus,
  TargetChange,
} from './contract.ts';
import { checkPortFree } from './port-holder.ts';
import { type News, ServiceEntry } from './service-entry.ts';
import { checked, unservable, wayOf } from './service-request.ts';
import type { Notes } from './service-servers.ts';
import { Tending } from './tending.ts';

/** What telemetry is told of latencies is of so long. */
const RECENT_MS = 10_000;

export interface ServicesOptions {
  /** Of HAProxy's files. */
  directory: string;
  endpoints: Endpoints;
  records: Records<ServiceRecord>;
  events: EventLog;
  clock: Clock;
  journal: Journal;
}

/**
 * INVARIANTS
 * - A record is in the store before HAProxy serves it, and until HAProxy has stopped to.
 * - Changes of records and of HAProxy run one after the other.
 */
export class Services implements ServiceManager {
  readonly #options: ServicesOptions;
  readonly #entries = new Map<string, ServiceEntry>();
  readonly #mutex = new Mutex();
  readonly #tending: Tending;

  constructor(options: ServicesOptions) {
    this.#options = options;
    this.#tending = new Tending({
      ...options,
      entries: this.#entries,
      mutex: this.#mutex,
      ended: ({ id, name }) => {
        options.records.delete(id);
        this.#entries.delete(name);
      },
      tell: (entry, news) => this.#tell(entry, news),
    });
  }

  async list(): Promise<ServiceStatus[]> {
    await this.#tending.refresh();
    return this.known();
  }

  known(): ServiceStatus[] {
    const names = [...this.#entries.keys()].sort();
    return names.map((name) => this.#status(this.#entries.get(name)!));
  }

  async get(name: string): Promise<ServiceStatus> {
    this.#entry(name);
    await this.#tending.refresh();
    return this.#status(this.#entry(name));
  }

  create(request: ServiceRequest, stack: string | null = null): Promise<ServiceStatus> {
    const resolved = checked(request);
    return this.#mutex.run(async () => {
      const { records: store, clock, endpoints } = this.#options;
      const obstacle = endpoints.obstacle();
      if (obstacle !== null) {
        throw new PolykernelError('unavailable', `services cannot be had here: ${obstacle}`, {
          field: 'name',
          value: resolved.name,
          hint: 'Run the daemon as root, or publish a port of one instance: pk run -p 8080:80.',
        });
      }
      this.#checkFree(resolved);
      this.#tending.prepare();
      await checkPortFree(resolved.bind, resolved.port);
      const id = randomBytes(16).toString('hex');
      const record = { id, ...resolved, stack, createdAt: timestamp(clock), removing: false };
      store.put(record);
      const entry = this.#add(record);
      try {
        await this.#tending.sync();
        if (entry.fault !== null) throw unservable(resolved, entry.fault);
      } catch (error) {
        await this.#erase(entry).catch((failure) =>
          this.#complain(`taking back the service ${resolved.name}`, failure),
        );
        throw asPolykernelError(error, `serving ${resolved.name}`);
      }
      this.#tell(entry, { type: 'service-created', message: wayOf(resolved) });
      return this.#status(entry);
    });
  }

  replace(request: ServiceRequest): Promise<ServiceStatus> {
    const resolved = checked(request);
    return this.#mutex.run(async () => {
      const entry = this.#entry(resolved.name);
      const before = entry.record;
      if (before.bind !== resolved.bind || before.port !== resolved.port) {
        this.#checkFree(resolved, entry);
        await checkPortFree(resolved.bind, resolved.port);
      }
      const drained = new Set(before.targets.flatMap(({ instance, drain }) => (drain ? [instance] : [])));
      const targets = resolved.targets.map((target) => ({ ...target, drain: drained.has(target.instance) }));
      try {
        this.#become(entry, { ...before, ...resolved, targets });
        await this.#tending.sync();
        if (entry.fault !== null) throw unservable(resolved, entry.fault);
      } catch (error) {
        entry.fault = null;
        this.#become(entry, before);
        await this.#tending.trySync();
        throw asPolykernelError(error, `changing ${resolved.name}`);
      }
      this.#tell(entry, { type: 'service-changed', message: wayOf(resolved) });
      return this.#status(entry);
    });
  }

  remove(name: string): Promise<void> {
    return this.#mutex.run(async () => {
      const entry = this.#entry(name);
      await this.#erase(entry);
      this.#tell(entry, { type: 'service-removed', message: '' });
    });
  }

  change(name: string, instance: string, { weight, drain }: TargetChange): Promise<ServiceStatus> {
    return this.#mutex.run(async () => {
      const entry = this.#entry(name);
      const { targets } = entry.record;
      if (!targets.some((target) => target.instance === instance)) {
        throw new PolykernelError('not-found', `${instance} is no target of the service ${name}`, {
          field: 'instance',
          value: instance,
          hint: `Its targets are ${targets.map((target) => target.instance).join(', ')}.`,
        });
      }
      this.#become(entry, {
        ...entry.record,
        targets: targets.map((target) =>
          target.instance === instance
            ? { ...target, weight: weight ?? target.weight, drain: drain ?? target.drain }
            : target,
        ),
      });
      await this.#tending.sync();
      await this.#tending.look();
      return this.#status(entry);
    });
  }

  steer(name: string, times: ReadonlyMap<string, number>): Promise<void> {
    return this.#mutex.run(async () => {
      this.#entry(name).steered = new Map(times);
      await this.#tending.sync();
    });
  }

  /** Takes up what an earlier daemon left; after the instances were taken up, so that their endpoints are known. */
  recover(): Promise<void> {
    return this.#mutex.run(async () => {
      const totals = this.#tending.adopt();
      const records = this.#options.records.all((_, name, error) =>
        this.#complain(`the record of the service ${name} cannot be read and is ignored`, error),
      );
      for (const record of records) this.#add(record, totals[record.id]);
      await this.#tending.trySync();
    });
  }

  /** Lets go; HAProxy serves on. */
  close(): void {
    this.#tending.close();
    this.#entries.clear();
  }

  /** What came to an instance, over all services that have it as a target; null when none has. */
  trafficOf(instance: string): RequestStats | null {
    const now = this.#options.clock.now();
    const all = [...this.#entries.values()].filter(({ record }) =>
      record.targets.some((target) => target.instance === instance),
    );
    if (all.length === 0) return null;
    const sum = (of: (entry: ServiceEntry) => number) => all.reduce((total, entry) => total + of(entry), 0);
    // Of several services the slowest tells: their percentiles cannot be added up.
    const latencies = all.map(({ traffic }) => traffic.latency(now, instance, RECENT_MS));
    const slowest = (of: 'p50' | 'p90' | 'p99') => {
      const known = latencies.flatMap((latency) => latency[of] ?? []);
      return known.length === 0 ? null : Math.max(...known);
    };
    return {
      ratePerSecond: sum(({ traffic }) => traffic.target(instance).perSecond(now)),
      errorsPerSecond: sum(({ traffic }) => traffic.target(instance).perSecond(now, 'errors')),
      inFlight: sum(({ traffic }) => traffic.target(instance).inFlight),
      latencyMs: { p50: slowest('p50'), p90: slowest('p90'), p99: slowest('p99') },
    };
  }

  #become(entry: ServiceEntry, record: ServiceRecord): void {
    this.#options.records.put(record);
    entry.become(record, this.#options.clock.now());
  }

  #entry(name: string): ServiceEntry {
    const entry = this.#entries.get(name);
    if (entry !== undefined) return entry;
    throw new PolykernelError('not-found', `there is no service ${JSON.stringify(name)}`, {
      field: 'name',
      value: name,
      hint: '`pk service ls` lists those there are.',
    });
  }

  #add(record: ServiceRecord, before?: Notes['totals'][string]): ServiceEntry {
    const entry = new ServiceEntry(record, this.#options.clock.now(), before);
    this.#entries.set(record.name, entry);
    return entry;
  }

  /** `own`: the service that is to change. */
  #checkFree({ name, bind, port }: Pick<ServiceRecord, 'name' | 'bind' | 'port'>, own?: ServiceEntry): void {
    if (own === undefined && this.#entries.has(name)) {
      throw new PolykernelError('conflict', `there is a service ${name} already`, {
        field: 'name',
        value: name,
        hint: `Choose another name, or remove it first (pk service rm ${name}).`,
      });
    }
    const wide = (address: string) => address === '0.0.0.0' || address === '::';
    for (const entry of this.#entries.values()) {
      const { record } = entry;
      if (entry === own || record.port !== port || !(record.bind === bind || wide(record.bind) || wide(bind))) continue;
      throw new PolykernelError('conflict', `port ${port} is in use by the service ${record.name}`, {
        field: 'port',
        value: port,
        hint: 'Choose another port, or remove that service.',
      });
    }
  }

  /** Ends a service; its connections are cut. */
  async #erase(entry: ServiceEntry): Promise<void> {
    this.#become(entry, { ...entry.record, removing: true });
    await this.#tending.cut(entry.record);
    await this.#tending.sync();
  }

  #status(entry: ServiceEntry): ServiceStatus {
    const { endpoints, clock } = this.#options;
    return entry.status(this.#tending.process, endpoints, clock.now());
  }

  #tell({ record }: ServiceEntry, news: News): void {
    const { events, clock } = this.#options;
    events.tell({ at: timestamp(clock), name: record.name, id: record.id, ...news });
  }

  #complain(doing: string, error: unknown): void {
    this.#options.journal.error(doing, error);
  }
}
