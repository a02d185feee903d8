/** The services of a daemon: their records, the HAProxy that serves them, what it says of its targets, and promises. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { validate } from '../instance/index.ts';
import {
  bindText,
  type Endpoints,
  frontendOf,
  HaProxy,
  parseLine,
  type ServedService,
  type ServiceManager,
  type ServiceRecord,
  type ServiceStatus,
  StartFailure,
  type StatRow,
  type TargetChange,
  Traffic,
  targetChangeSchema,
} from '../service/index.ts';
import { type Clock, timestamp } from '../sys/clock.ts';
import { asPolykernelError, PolykernelError } from '../sys/errors.ts';
import { allowedCpus } from '../sys/process.ts';
import type { RequestStats } from '../telemetry/index.ts';
import type { EventLog } from './events.ts';
import type { Journal } from './journal.ts';
import { Mutex } from './mutex.ts';
import { bindFailure, checkPortFree } from './port-holder.ts';
import { checked, unservable, wayOf } from './service-request.ts';
import {
  adjustments,
  NO_STRUCTURE,
  type Notes,
  readNotes,
  type Structure,
  serversOf,
  structureOf,
  writeNotes,
} from './service-servers.ts';
import { serviceStatus, targetStatus } from './service-status.ts';

/** How often HAProxy is asked for its counters. */
const POLL_MS = 1000;
/** How often a service that cannot be served is tried again. */
const FAULT_RETRY_MS = 1000;
/** One that lives shorter than this is started again only after a while. */
const STABLE_MS = 1000;
const LONGEST_BACKOFF_MS = 10_000;
/** What telemetry is told of latencies is of so long. */
const RECENT_MS = 10_000;

export interface ServicesOptions {
  /** Of HAProxy's files. */
  directory: string;
  endpoints: Endpoints;
  store: {
    services(): ServiceRecord[];
    putService(record: ServiceRecord): void;
    deleteService(id: string): void;
  };
  events: EventLog;
  clock: Clock;
  journal: Journal;
}

interface Entry {
  record: ServiceRecord;
  traffic: Traffic;
  /** Why it is not served. */
  fault: string | null;
  rows: readonly StatRow[];
  /** Connections at the last look. */
  connections: number;
  lostConnections: number;
  /** Of them, those that nobody was told of yet. */
  cut: number;
  /** State last seen of each target. */
  told: Map<string, string>;
}

/**
 * INVARIANTS
 * - A record is in the store before HAProxy serves it, and until HAProxy has stopped to.
 * - While there is a record there is an HAProxy, or an attempt to start one is due; without records there is none.
 * - Changes of records and of HAProxy run one after the other.
 */
export class Services implements ServiceManager {
  readonly #options: ServicesOptions;
  readonly #proxy: HaProxy;
  readonly #entries = new Map<string, Entry>();
  readonly #mutex = new Mutex();
  /** Of the process that runs. */
  #structure: Structure = NO_STRUCTURE;
  #restarts = 0;
  #startedAt = 0;
  #backoff = 0;
  #faultsTriedAt = 0;
  #cancelPoll: (() => void) | undefined;
  #cancelRevival: (() => void) | undefined;
  #unlisten: (() => void) | undefined;
  #syncDue = false;
  #closed = false;

  constructor(options: ServicesOptions) {
    this.#options = options;
    this.#proxy = new HaProxy(options.directory, allowedCpus().length, {
      ended: (pid) => this.#died(pid),
      logged: (line) => this.#logged(line),
    });
  }

  async list(): Promise<ServiceStatus[]> {
    await this.#refresh();
    return this.known();
  }

  /** What list() gives, as of the last look at HAProxy: at most a second ago. */
  known(): ServiceStatus[] {
    const names = [...this.#entries.keys()].sort();
    return names.map((name) => this.#status(this.#entries.get(name)!));
  }

  async get(name: string): Promise<ServiceStatus> {
    this.#entry(name);
    await this.#refresh();
    return this.#status(this.#entry(name));
  }

  create(body: unknown, stack: string | null = null): Promise<ServiceStatus> {
    const resolved = checked(body);
    return this.#mutex.run(async () => {
      const { store, clock, endpoints } = this.#options;
      const obstacle = endpoints.obstacle();
      if (obstacle !== null) {
        throw new PolykernelError('unavailable', `services cannot be had here: ${obstacle}`, {
          field: 'name',
          value: resolved.name,
          hint: 'Run the daemon as root, or publish a port of one instance: pk run -p 8080:80.',
        });
      }
      this.#checkFree(resolved);
      this.#proxy.prepare();
      await checkPortFree(resolved.bind, resolved.port);
      const id = randomBytes(16).toString('hex');
      const entry = this.#add({ id, ...resolved, stack, createdAt: timestamp(clock), removing: false });
      try {
        store.putService(entry.record);
        await this.#sync();
        if (entry.fault !== null) throw unservable(resolved, entry.fault);
      } catch (error) {
        await this.#erase(entry).catch((failure) =>
          this.#complain(`taking back the service ${resolved.name}`, failure),
        );
        throw asPolykernelError(error, `serving ${resolved.name}`);
      }
      this.#tell('service-created', entry, wayOf(resolved));
      return this.#status(entry);
    });
  }

  replace(body: unknown): Promise<ServiceStatus> {
    const resolved = checked(body);
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
        await this.#sync();
        if (entry.fault !== null) throw unservable(resolved, entry.fault);
      } catch (error) {
        entry.fault = null;
        this.#become(entry, before);
        await this.#syncOrRetry();
        throw asPolykernelError(error, `changing ${resolved.name}`);
      }
      this.#tell('service-changed', entry, wayOf(resolved));
      return this.#status(entry);
    });
  }

  remove(name: string): Promise<void> {
    return this.#mutex.run(async () => {
      const entry = this.#entry(name);
      await this.#erase(entry);
      this.#tell('service-removed', entry, '');
    });
  }

  change(name: string, instance: string, body: unknown): Promise<ServiceStatus> {
    const { weight, drain } = validate(targetChangeSchema, body) as TargetChange;
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
      await this.#sync();
      await this.#look().catch(() => {});
      return this.#status(entry);
    });
  }

  /** Takes up what an earlier daemon left; after the instances were taken up, so that their endpoints are known. */
  recover(): Promise<void> {
    return this.#mutex.run(async () => {
      const records = this.#options.store.services();
      const adopted = this.#proxy.adopt();
      const notes = readNotes(this.#notesPath);
      const known = notes !== undefined && notes.pid === adopted?.pid && notes.startTime === adopted.startTime;
      if (known) this.#structure = notes.structure;
      this.#restarts = notes?.restarts ?? 0;
      for (const record of records) {
        const entry = this.#add(record, notes?.totals[record.id]);
        // What is known of its targets was told by the earlier daemon.
        if (record.removing) await this.#erase(entry);
      }
      if (this.#entries.size === 0) {
        if (this.#proxy.runs) await this.#proxy.stop();
        return;
      }
      if (known) await this.#proxy.connect().catch(() => {});
      await this.#syncOrRetry();
    });
  }

  /** Lets go; HAProxy serves on. */
  close(): void {
    this.#closed = true;
    this.#stopPolling();
    this.#proxy.close();
    this.#cancelRevival?.();
    this.#unlisten?.();
    this.#entries.clear();
  }

  /** What came to an instance, over all services that have it as a target; null when none has. */
  trafficOf(instance: string): RequestStats | null {
    const now = this.#options.clock.now();
    const all = [...this.#entries.values()].filter(({ record }) =>
      record.targets.some((target) => target.instance === instance),
    );
    if (all.length === 0) return null;
    const sum = (of: (entry: Entry) => number) => all.reduce((total, entry) => total + of(entry), 0);
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

  #become(entry: Entry, record: ServiceRecord): void {
    this.#options.store.putService(record);
    entry.record = record;
    entry.traffic.become(record, this.#options.clock.now());
  }

  #entry(name: string): Entry {
    const entry = this.#entries.get(name);
    if (entry !== undefined) return entry;
    throw new PolykernelError('not-found', `there is no service ${JSON.stringify(name)}`, {
      field: 'name',
      value: name,
      hint: '`pk service ls` lists those there are.',
    });
  }

  #add(record: ServiceRecord, before?: Notes['totals'][string]): Entry {
    const entry: Entry = {
      record,
      traffic: new Traffic(record, this.#options.clock.now(), before?.totals),
      fault: null,
      rows: [],
      connections: 0,
      lostConnections: before?.lostConnections ?? 0,
      cut: 0,
      told: new Map(),
    };
    this.#entries.set(record.name, entry);
    return entry;
  }

  /** `own`: the service that is to change. */
  #checkFree({ name, bind, port }: Pick<ServiceRecord, 'name' | 'bind' | 'port'>, own?: Entry): void {
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
  async #erase(entry: Entry): Promise<void> {
    const { store } = this.#options;
    const { id, name, targets } = entry.record;
    entry.record = { ...entry.record, removing: true };
    store.putService(entry.record);
    const cuts = targets.map(({ instance }) => `shutdown sessions server ${name}/${instance}`);
    await this.#proxy.commandAll([`disable frontend ${frontendOf(name)}`, ...cuts]);
    await this.#sync();
    store.deleteService(id);
    this.#entries.delete(name);
  }

  /** Makes HAProxy as the records and endpoints say. */
  async #sync(): Promise<void> {
    this.#syncDue = false;
    if (this.#closed) return;
    const { endpoints } = this.#options;
    const entries = this.#servable();
    if (entries.length === 0) return this.#end();
    this.#proxy.prepare();
    this.#unlisten ??= endpoints.onChange(() => this.#endpointsChanged());
    const structure = this.#structureOf(entries);
    this.#proxy.configure(entries.map((entry) => this.#served(entry)));
    if (this.#proxy.current === undefined || JSON.stringify(structure) !== JSON.stringify(this.#structure)) {
      await this.#start();
    }
    await this.#adjust();
    if (this.#cancelPoll === undefined) this.#pollAfter(0);
  }

  #servable(): Entry[] {
    return [...this.#entries.values()].filter(({ record, fault }) => !record.removing && fault === null);
  }

  /** Starts HAProxy, or another that takes over from it; without the services whose address it cannot have. */
  async #start(): Promise<void> {
    await this.#look().catch(() => {});
    for (;;) {
      const entries = this.#servable();
      if (entries.length === 0) return this.#end();
      this.#proxy.configure(entries.map((entry) => this.#served(entry)));
      const structure = this.#structureOf(entries);
      try {
        await this.#proxy.start(this.#options.endpoints.namespace());
        this.#structure = structure;
        break;
      } catch (error) {
        const failed = entries.filter(({ record }) => this.#unbound(error, record));
        if (failed.length === 0) throw error;
        for (const entry of failed) entry.fault = this.#unbound(error, entry.record)!;
      }
    }
    this.#startedAt = performance.now();
    this.#writeNotes();
  }

  #unbound(error: unknown, { name, bind, port }: ServiceRecord): string | undefined {
    if (!(error instanceof StartFailure)) return undefined;
    const reason = error.unbound.get(frontendOf(name));
    return reason === undefined ? undefined : `${bindText(bind, port)}: ${reason}`;
  }

  /** Nothing is served any more. */
  async #end(): Promise<void> {
    this.#stopPolling();
    if (this.#proxy.current !== undefined || this.#proxy.runs) await this.#proxy.stop();
    this.#structure = NO_STRUCTURE;
    const left = [...this.#entries.values()].some(({ record }) => !record.removing);
    if (left) return this.#pollAfter(FAULT_RETRY_MS);
    this.#unlisten?.();
    this.#unlisten = undefined;
  }

  /** Sets the servers of the running process as they are wanted: addresses, weights, and who is in use. */
  async #adjust(): Promise<void> {
    if (this.#proxy.current === undefined) return;
    const states = new Map((await this.#proxy.servers()).map((state) => [`${state.backend}/${state.server}`, state]));
    for (const entry of this.#servable()) {
      const commands = adjustments(entry.record.name, this.#served(entry).servers, states);
      if (commands.length > 0) await this.#proxy.command(commands);
    }
  }

  #served({ record }: Entry): ServedService {
    return { record, servers: serversOf(record, this.#options.endpoints) };
  }

  #structureOf(entries: readonly Entry[]): Structure {
    const records = entries.map(({ record }) => record);
    return structureOf(records, this.#options.endpoints);
  }

  #endpointsChanged(): void {
    if (this.#syncDue || this.#closed) return;
    this.#syncDue = true;
    void this.#mutex.run(async () => {
      if (this.#syncDue) await this.#syncOrRetry();
    });
  }

  /** Never rejects: tries again later. */
  async #syncOrRetry(): Promise<void> {
    try {
      await this.#sync();
    } catch (error) {
      this.#complain('serving', error);
      this.#reviveAfter(FAULT_RETRY_MS);
    }
  }

  #stopPolling(): void {
    this.#cancelPoll?.();
    this.#cancelPoll = undefined;
  }

  /** HAProxy is gone without having been asked to. */
  #died(pid: number): void {
    if (this.#closed) return;
    this.#stopPolling();
    const lived = performance.now() - this.#startedAt;
    this.#backoff = lived < STABLE_MS ? Math.min(LONGEST_BACKOFF_MS, this.#backoff * 2 || 100) : 0;
    for (const entry of this.#entries.values()) {
      entry.cut += entry.connections;
      entry.lostConnections += entry.connections;
      entry.connections = 0;
      entry.rows = [];
      entry.traffic.settle(pid);
    }
    this.#restarts += 1;
    if (this.#backoff > 0) this.#reviveAfter(this.#backoff);
    else void this.#revive();
  }

  #reviveAfter(milliseconds: number): void {
    this.#cancelRevival?.();
    this.#cancelRevival = this.#options.clock.after(milliseconds, () => void this.#revive());
  }

  #revive(): Promise<void> {
    this.#cancelRevival?.();
    this.#cancelRevival = undefined;
    const began = performance.now();
    return this.#mutex.run(async () => {
      if (this.#closed || this.#proxy.current !== undefined) return;
      await this.#syncOrRetry();
      const { current } = this.#proxy;
      if (current === undefined) return;
      const took = Math.round(performance.now() - began);
      for (const entry of this.#servable()) {
        this.#tell(
          'service-restarted',
          entry,
          `HAProxy had ended; ${entry.cut} connections were cut; anew in ${took} ms`,
        );
        entry.cut = 0;
      }
    });
  }

  #pollAfter(milliseconds: number): void {
    this.#cancelPoll?.();
    this.#cancelPoll = this.#options.clock.after(milliseconds, () => void this.#poll());
  }

  async #poll(): Promise<void> {
    await this.#mutex.run(async () => {
      await this.#retryFaults();
      await this.#look().catch((error) => {
        if (this.#proxy.current !== undefined) this.#complain('asking HAProxy', error);
      });
    });
    const running =
      this.#proxy.current !== undefined || [...this.#entries.values()].some(({ fault }) => fault !== null);
    if (!this.#closed && running) this.#pollAfter(POLL_MS);
  }

  async #refresh(): Promise<void> {
    if (this.#proxy.current !== undefined) await this.#mutex.run(() => this.#look().catch(() => {}));
  }

  /** Reads all counters and tells what has changed. */
  async #look(): Promise<void> {
    if (this.#proxy.current === undefined || this.#closed) return;
    const counts = await this.#proxy.counts();
    if (this.#closed) return;
    const now = this.#options.clock.now();
    const { pid: current } = this.#proxy.current ?? {};
    for (const entry of this.#entries.values()) {
      const { name } = entry.record;
      entry.connections = 0;
      for (const { pid, rows, last } of counts) {
        const own = rows.filter(({ proxy }) => proxy === name);
        entry.traffic.observe(pid, own);
        if (last) entry.traffic.settle(pid);
        if (pid !== current) continue;
        entry.rows = own;
        entry.connections = rows.find(({ proxy }) => proxy === frontendOf(name))?.inFlight ?? 0;
      }
      entry.traffic.sample(now);
      this.#tellTargets(entry, now);
      for (const objective of entry.traffic.objectives) {
        const news = objective.judge(now);
        if (news !== undefined) this.#tell(`slo-${news}`, entry, objective.evidence(now));
      }
    }
    if (counts.some(({ last }) => last)) this.#writeNotes();
  }

  #tellTargets(entry: Entry, now: number): void {
    for (const target of entry.record.targets) {
      const { instance } = target;
      const { state, reason } = targetStatus(
        this.#view(entry),
        target,
        (instance) => this.#options.endpoints.address(instance),
        now,
      );
      const before = entry.told.get(instance);
      if (state === before || state === 'checking') continue;
      entry.told.set(instance, state);
      const served = (each: string | undefined) => each === 'up' || each === 'drained';
      if (served(state) && !served(before)) this.#tell('target-up', entry, instance);
      else if (!served(state) && served(before)) this.#tell('target-down', entry, `${instance}: ${reason}`);
    }
  }

  /** Serves again what could not be served, once its address is free. */
  async #retryFaults(): Promise<void> {
    const faulty = [...this.#entries.values()].filter(({ fault }) => fault !== null);
    const now = this.#options.clock.now();
    if (faulty.length === 0 || now - this.#faultsTriedAt < FAULT_RETRY_MS) return;
    this.#faultsTriedAt = now;
    let free = false;
    for (const entry of faulty) {
      if ((await bindFailure(entry.record.bind, entry.record.port)) !== undefined) continue;
      entry.fault = null;
      free = true;
    }
    if (free) await this.#syncOrRetry();
  }

  #logged(line: string): void {
    const request = parseLine(line);
    if (request !== undefined) {
      const entry = this.#entries.get(request.service);
      entry?.traffic.add(request);
      // HAProxy tells of its health checks in the same way.
    } else if (line.startsWith('Server ') && this.#cancelPoll !== undefined) this.#pollAfter(0);
  }

  #status(entry: Entry): ServiceStatus {
    return serviceStatus(
      this.#view(entry),
      (instance) => this.#options.endpoints.address(instance),
      this.#options.clock.now(),
    );
  }

  #view(entry: Entry) {
    const { record, traffic, rows, lostConnections } = entry;
    const { current } = this.#proxy;
    const fault = entry.fault ?? (current === undefined ? 'HAProxy does not run; it is being started' : null);
    const proxy = current === undefined ? null : { pid: current.pid, restarts: this.#restarts, lostConnections };
    return { record, traffic, fault, rows, proxy };
  }

  get #notesPath(): string {
    return join(this.#options.directory, 'services.json');
  }

  #writeNotes(): void {
    const { current } = this.#proxy;
    if (current === undefined) return;
    const totals = Object.fromEntries(
      [...this.#entries.values()].map(({ record, traffic, lostConnections }) => [
        record.id,
        { totals: traffic.save(current.pid), lostConnections },
      ]),
    );
    const notes: Notes = { ...current, structure: this.#structure, restarts: this.#restarts, totals };
    writeNotes(this.#notesPath, notes);
  }

  #tell(type: Parameters<EventLog['tell']>[0]['type'], { record }: Entry, message: string): void {
    const { events, clock } = this.#options;
    events.tell({ at: timestamp(clock), type, name: record.name, id: record.id, message });
  }

  #complain(doing: string, error: unknown): void {
    this.#options.journal.error(doing, error);
  }
}
