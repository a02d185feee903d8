/** The services of a daemon: their records, the HAProxy that serves them, what it says of its targets, and promises. */
import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { EventLog } from '../core/events.ts';
import type { Journal } from '../core/journal.ts';
import { Mutex } from '../core/mutex.ts';
import type { Records } from '../core/table.ts';
import { type Clock, timestamp } from '../sys/clock.ts';
import { asPolykernelError, PolykernelError } from '../sys/errors.ts';
import { allowedCpus } from '../sys/process.ts';
import type { RequestStats } from '../telemetry/contract.ts';
import {
  bindText,
  type Endpoints,
  frontendOf,
  HaProxy,
  parseLine,
  type ServedService,
  type ServiceManager,
  type ServiceRecord,
  type ServiceRequest,
  type ServiceStatus,
  StartFailure,
  type TargetChange,
} from './contract.ts';
import { bindFailure, checkPortFree } from './port-holder.ts';
import { type News, ServiceEntry } from './service-entry.ts';
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

/** How often HAProxy is looked after: whether it runs and answers, what it counts, and what could not be served. */
const TEND_MS = 1000;
/** One that lives shorter than this is started again only after a while. */
const STABLE_MS = 1000;
const LONGEST_BACKOFF_MS = 10_000;
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
 * - While there is a record HAProxy is tended: compared each second, and with every change, with what is wanted, and made so.
 *   Nothing depends on being told of its end. Without records there is no HAProxy, and no file of one.
 * - Changes of records and of HAProxy run one after the other.
 */
export class Services implements ServiceManager {
  readonly #options: ServicesOptions;
  readonly #proxy: HaProxy;
  readonly #entries = new Map<string, ServiceEntry>();
  readonly #mutex = new Mutex();
  /** Of the process that runs. */
  #structure: Structure = NO_STRUCTURE;
  /** The process whose end is yet to be seen. */
  #running: number | undefined;
  /** Whether HAProxy was made as the records and endpoints are. */
  #settled = false;
  #restarts = 0;
  #startedAt = 0;
  /** When it was found gone; undefined once it serves again. */
  #goneAt: number | undefined;
  #backoff = 0;
  #cancelTend: (() => void) | undefined;
  #unlisten: (() => void) | undefined;
  #closed = false;

  constructor(options: ServicesOptions) {
    this.#options = options;
    this.#proxy = new HaProxy(options.directory, allowedCpus().length, {
      lost: () => this.#tendAfter(0),
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
      this.#proxy.prepare();
      await checkPortFree(resolved.bind, resolved.port);
      const id = randomBytes(16).toString('hex');
      const record = { id, ...resolved, stack, createdAt: timestamp(clock), removing: false };
      store.put(record);
      const entry = this.#add(record);
      try {
        await this.#sync();
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
        await this.#sync();
        if (entry.fault !== null) throw unservable(resolved, entry.fault);
      } catch (error) {
        entry.fault = null;
        this.#become(entry, before);
        await this.#trySync();
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
      await this.#sync();
      await this.#look().catch(() => {});
      return this.#status(entry);
    });
  }

  /** Takes up what an earlier daemon left; after the instances were taken up, so that their endpoints are known. */
  recover(): Promise<void> {
    return this.#mutex.run(async () => {
      const adopted = this.#proxy.adopt();
      const notes = readNotes(this.#notesPath);
      const known = notes !== undefined && notes.pid === adopted?.pid && notes.startTime === adopted.startTime;
      if (known) this.#structure = notes.structure;
      this.#running = adopted?.pid;
      this.#restarts = notes?.restarts ?? 0;
      const records = this.#options.records.all((_, name, error) =>
        this.#complain(`the record of the service ${name} cannot be read and is ignored`, error),
      );
      for (const record of records) this.#add(record, notes?.totals[record.id]);
      await this.#trySync();
    });
  }

  /** Lets go; HAProxy serves on. */
  close(): void {
    this.#closed = true;
    this.#cancelTend?.();
    this.#proxy.close();
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
    const { name, targets } = entry.record;
    this.#become(entry, { ...entry.record, removing: true });
    const cuts = targets.map(({ instance }) => `shutdown sessions server ${name}/${instance}`);
    await this.#proxy.commandAll([`disable frontend ${frontendOf(name)}`, ...cuts]);
    await this.#sync();
  }

  /** Makes HAProxy as the records and endpoints say, and forgets what is not served any more. */
  async #sync(): Promise<void> {
    if (this.#closed) return;
    this.#settled = false;
    const entries = this.#servable();
    if (entries.length === 0) await this.#end();
    else {
      this.#unlisten ??= this.#options.endpoints.onChange(() => {
        this.#settled = false;
        this.#tendAfter(0);
      });
      this.#proxy.prepare();
      this.#proxy.configure(entries.map((entry) => this.#served(entry)));
      const same = JSON.stringify(this.#structureOf(entries)) === JSON.stringify(this.#structure);
      if (this.#proxy.current === undefined || !same) await this.#start();
      await this.#adjust();
    }
    for (const { record } of [...this.#entries.values()]) {
      if (!record.removing) continue;
      this.#options.records.delete(record.id);
      this.#entries.delete(record.name);
    }
    this.#settled = true;
    this.#tendAfter(0);
  }

  #servable(): ServiceEntry[] {
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
    this.#running = this.#proxy.current?.pid;
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
    this.#running = undefined;
    this.#structure = NO_STRUCTURE;
    await this.#proxy.stop();
    rmSync(this.#notesPath, { force: true });
    if ([...this.#entries.values()].some(({ record }) => !record.removing)) return;
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

  #served({ record }: ServiceEntry): ServedService {
    return { record, servers: serversOf(record, this.#options.endpoints) };
  }

  #structureOf(entries: readonly ServiceEntry[]): Structure {
    const records = entries.map(({ record }) => record);
    return structureOf(records, this.#options.endpoints);
  }

  /** Never rejects: the next look finds it unsettled. */
  async #trySync(): Promise<void> {
    try {
      await this.#sync();
    } catch (error) {
      this.#complain('serving', error);
      this.#tendAfter(TEND_MS);
    }
  }

  #tendAfter(milliseconds: number): void {
    this.#cancelTend?.();
    if (this.#closed || this.#entries.size === 0) return;
    this.#cancelTend = this.#options.clock.after(milliseconds, () => {
      this.#cancelTend = undefined;
      void this.#mutex.run(() => this.#tend()).catch((error) => this.#complain('looking after HAProxy', error));
    });
  }

  /** Makes what is as it should be, whatever happened to it, and reads all counters. */
  async #tend(): Promise<void> {
    if (this.#closed || this.#entries.size === 0) return;
    // Ends one that hangs.
    if (this.#proxy.current !== undefined) await this.#proxy.connect().catch(() => {});
    this.#noticeEnd();
    await this.#retryFaults();
    const gone = this.#proxy.current === undefined && this.#servable().length > 0;
    const wait = gone ? this.#startedAt + this.#backoff - performance.now() : 0;
    if (wait > 0) this.#tendAfter(wait);
    else if (gone || !this.#settled) await this.#trySync();
    else {
      await this.#look().catch(() => {});
      if (this.#cancelTend === undefined) this.#tendAfter(TEND_MS);
    }
    if (this.#settled) this.#tellRestart();
  }

  /** HAProxy may be gone without having been asked to. */
  #noticeEnd(): void {
    const pid = this.#running;
    if (pid === undefined || pid === this.#proxy.current?.pid) return;
    this.#running = undefined;
    const lived = performance.now() - this.#startedAt;
    this.#backoff = lived < STABLE_MS ? Math.min(LONGEST_BACKOFF_MS, this.#backoff * 2 || 100) : 0;
    for (const entry of this.#entries.values()) entry.lose(pid);
    this.#restarts += 1;
    this.#goneAt = performance.now();
  }

  #tellRestart(): void {
    if (this.#goneAt === undefined) return;
    const took = Math.round(performance.now() - this.#goneAt);
    this.#goneAt = undefined;
    for (const entry of this.#servable()) {
      const message = `HAProxy had ended; ${entry.takeCut()} connections were cut; anew in ${took} ms`;
      this.#tell(entry, { type: 'service-restarted', message });
    }
  }

  async #refresh(): Promise<void> {
    if (this.#proxy.answers) await this.#mutex.run(() => this.#look().catch(() => {}));
  }

  /** Reads all counters and tells what has changed. */
  async #look(): Promise<void> {
    if (this.#proxy.current === undefined || this.#closed) return;
    const counts = await this.#proxy.counts();
    if (this.#closed) return;
    const now = this.#options.clock.now();
    const current = this.#proxy.current?.pid;
    for (const entry of this.#entries.values()) {
      entry.observe(counts, current, now);
      for (const news of entry.news(this.#address, now)) this.#tell(entry, news);
    }
    if (counts.some(({ last }) => last)) this.#writeNotes();
  }

  /** Lets those be served again whose address is free now. */
  async #retryFaults(): Promise<void> {
    for (const entry of this.#entries.values()) {
      const { bind, port } = entry.record;
      if (entry.fault === null || (await bindFailure(bind, port)) !== undefined) continue;
      entry.fault = null;
      this.#settled = false;
    }
  }

  #logged(line: string): void {
    const request = parseLine(line);
    if (request !== undefined) {
      const entry = this.#entries.get(request.service);
      entry?.traffic.add(request);
      // HAProxy tells of its health checks in the same way.
    } else if (line.startsWith('Server ')) this.#tendAfter(0);
  }

  #status(entry: ServiceEntry): ServiceStatus {
    const { current } = this.#proxy;
    const process = current === undefined ? null : { pid: current.pid, restarts: this.#restarts };
    return entry.status(process, this.#address, this.#options.clock.now());
  }

  readonly #address = (instance: string): string | null => this.#options.endpoints.address(instance);

  get #notesPath(): string {
    return join(this.#options.directory, 'services.json');
  }

  #writeNotes(): void {
    const { current } = this.#proxy;
    if (current === undefined) return;
    const totals = Object.fromEntries(
      [...this.#entries.values()].map((entry) => [entry.record.id, entry.save(current.pid)]),
    );
    const notes: Notes = { ...current, structure: this.#structure, restarts: this.#restarts, totals };
    writeNotes(this.#notesPath, notes);
  }

  #tell({ record }: ServiceEntry, news: News): void {
    const { events, clock } = this.#options;
    events.tell({ at: timestamp(clock), name: record.name, id: record.id, ...news });
  }

  #complain(doing: string, error: unknown): void {
    this.#options.journal.error(doing, error);
  }
}
