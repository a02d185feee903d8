/** HAProxy, made as the services and their endpoints are, looked after, and found again by a later daemon. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Journal } from '../core/journal.ts';
import type { Mutex } from '../core/mutex.ts';
import type { Clock } from '../sys/clock.ts';
import { knock } from '../sys/namespace-socket.ts';
import { allowedCpus } from '../sys/process.ts';
import {
  bindText,
  type Endpoints,
  frontendOf,
  HaProxy,
  parseLine,
  type ServedService,
  type Server,
  type ServiceRecord,
  StartFailure,
} from './contract.ts';
import { FirstChecks } from './first-checks.ts';
import { bindFailure } from './port-holder.ts';
import { Restarts } from './restarts.ts';
import type { News, ServiceEntry } from './service-entry.ts';
import {
  adjustments,
  comes,
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

interface TendingOptions {
  /** Of HAProxy's files. */
  readonly directory: string;
  readonly endpoints: Endpoints;
  readonly clock: Clock;
  readonly journal: Journal;
  /** By name; those that are `removing` are not to be served. */
  readonly entries: ReadonlyMap<string, ServiceEntry>;
  /** Of all changes of records and of HAProxy. Whoever calls what changes HAProxy holds it. */
  readonly mutex: Mutex;
  /** A service that is `removing` is not served any more. */
  ended(record: ServiceRecord): void;
  tell(entry: ServiceEntry, news: News): void;
}

/**
 * INVARIANT: while there is a service HAProxy is tended: compared each second, and with every change, with what is wanted,
 * and made so. Nothing depends on being told of its end. Without services there is no HAProxy, and no file of one.
 */
export class Tending {
  readonly #options: TendingOptions;
  readonly #proxy: HaProxy;
  readonly #restarts = new Restarts();
  readonly #firstChecks: FirstChecks;
  /** Of the process that runs. */
  #structure: Structure = NO_STRUCTURE;
  /** Whether HAProxy was made as the records and endpoints are. */
  #settled = false;
  /** So often endpoints have changed. */
  #changes = 0;
  #cancelTend: (() => void) | undefined;
  #unlisten: (() => void) | undefined;
  #closed = false;

  constructor(options: TendingOptions) {
    this.#options = options;
    this.#proxy = new HaProxy(options.directory, allowedCpus().length, {
      lost: () => this.#tendAfter(0),
      logged: (line) => this.#logged(line),
    });
    const { endpoints, clock } = options;
    this.#firstChecks = new FirstChecks(clock, (address, port) => knock(endpoints.namespace(), address, port));
  }

  /** The HAProxy that serves; null: none does. */
  get process(): { pid: number; restarts: number } | null {
    const { current } = this.#proxy;
    return current === undefined ? null : { pid: current.pid, restarts: this.#restarts.count };
  }

  /** Makes the directory of its files, which a test of a port needs too. */
  prepare(): void {
    this.#proxy.prepare();
  }

  /** Takes up the process of an earlier daemon. Returns what that noted, by id of the service. */
  adopt(): Notes['totals'] {
    const adopted = this.#proxy.adopt();
    const notes = readNotes(this.#notesPath);
    const known = notes !== undefined && notes.pid === adopted?.pid && notes.startTime === adopted.startTime;
    if (known) this.#structure = notes.structure;
    this.#restarts.adopt(adopted?.pid, notes?.restarts ?? 0);
    return notes?.totals ?? {};
  }

  /** Makes HAProxy as the records and endpoints say; a service whose address it cannot have gets a fault. */
  async sync(): Promise<void> {
    if (this.#closed) return;
    const { entries, endpoints, ended } = this.#options;
    this.#settled = false;
    const changes = this.#changes;
    const servable = this.#servable();
    if (servable.length === 0) await this.#end();
    else {
      this.#unlisten ??= endpoints.onChange(() => {
        this.#changes += 1;
        this.#settled = false;
        this.#tendAfter(0);
      });
      this.#proxy.prepare();
      this.#proxy.configure(servable.map((entry) => this.#served(entry)));
      const same = JSON.stringify(this.#structureOf(servable)) === JSON.stringify(this.#structure);
      if (this.#proxy.current === undefined || !same) await this.#start();
      await this.#adjust();
    }
    for (const { record } of [...entries.values()]) if (record.removing) ended(record);
    // What changed meanwhile is not in it.
    this.#settled = this.#changes === changes;
    this.#tendAfter(0);
  }

  /** Never rejects: the next look finds it unsettled. */
  async trySync(): Promise<void> {
    try {
      await this.sync();
    } catch (error) {
      this.#complain('serving', error);
      this.#tendAfter(TEND_MS);
    }
  }

  /** Cuts all connections of a service, and takes no more. */
  async cut(record: ServiceRecord): Promise<void> {
    await this.#proxy.commandAll([`disable frontend ${frontendOf(record.name)}`]);
    await this.cutServers(record);
  }

  /** Cuts the connections to those targets. */
  async cutServers({ name, targets }: Pick<ServiceRecord, 'name' | 'targets'>): Promise<void> {
    const cuts = targets.map(({ instance }) => `shutdown sessions server ${name}/${instance}`);
    if (cuts.length > 0) await this.#proxy.commandAll(cuts);
  }

  /** Looks at once, for whoever asks; never rejects. Takes the lock itself. */
  async refresh(): Promise<void> {
    if (this.#proxy.answers) await this.#options.mutex.run(() => this.look());
  }

  /** Reads all counters and tells what has changed, if HAProxy answers; never rejects. */
  async look(): Promise<void> {
    await this.#look().catch(() => {});
  }

  /** Lets go; HAProxy serves on. */
  close(): void {
    this.#closed = true;
    this.#cancelTend?.();
    this.#firstChecks.close();
    this.#proxy.close();
    this.#unlisten?.();
  }

  #servable(): ServiceEntry[] {
    return [...this.#options.entries.values()].filter(({ record, fault }) => !record.removing && fault === null);
  }

  #served({ record, steered }: ServiceEntry): ServedService {
    return { record, servers: serversOf(record, this.#options.endpoints, steered) };
  }

  #structureOf(entries: readonly ServiceEntry[]): Structure {
    const records = entries.map(({ record }) => record);
    return structureOf(records, this.#options.endpoints);
  }

  /** Starts HAProxy, or another that takes over from it; without the services whose address it cannot have. */
  async #start(): Promise<void> {
    await this.look();
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
        const failed = entries.filter(({ record }) => unbound(error, record));
        if (failed.length === 0) throw error;
        for (const entry of failed) entry.fault = unbound(error, entry.record)!;
      }
    }
    this.#restarts.started(this.#proxy.current?.pid);
    this.#writeNotes();
  }

  /** Nothing is served any more. */
  async #end(): Promise<void> {
    this.#restarts.stopping();
    this.#structure = NO_STRUCTURE;
    await this.#proxy.stop();
    rmSync(this.#notesPath, { force: true });
    if ([...this.#options.entries.values()].some(({ record }) => !record.removing)) return;
    this.#unlisten?.();
    this.#unlisten = undefined;
  }

  /** Sets the servers of the running process as they are wanted: addresses, weights, and who is in use. */
  async #adjust(): Promise<void> {
    if (this.#proxy.current === undefined) return;
    const states = new Map((await this.#proxy.servers()).map((state) => [`${state.backend}/${state.server}`, state]));
    for (const entry of this.#servable()) {
      const { name, check } = entry.record;
      const { servers } = this.#served(entry);
      const commands = adjustments(name, servers, states);
      if (commands.length > 0) await this.#proxy.command(commands);
      for (const server of servers) {
        const state = states.get(`${name}/${server.name}`);
        if (server.address === null) this.#firstChecks.giveUp(`${name}/${server.name}`);
        // With a path its program has more to do than to listen.
        else if (check === null && !server.isWell && state !== undefined && comes(server, state))
          this.#checkFirst(entry, server);
      }
    }
  }

  #checkFirst(entry: ServiceEntry, { name, address, port }: Server): void {
    const server = `${entry.record.name}/${name}`;
    const listens = async () => {
      const now = this.#served(entry).servers.find((each) => each.name === name);
      if (now?.address === address && now?.port === port) await this.#proxy.command([`set server ${server} health up`]);
    };
    this.#firstChecks.begin(server, address!, port, () => {
      void this.#options.mutex.run(listens).catch((error) => this.#complain('telling HAProxy of a server', error));
    });
  }

  #tendAfter(milliseconds: number): void {
    this.#cancelTend?.();
    const { entries, clock, mutex } = this.#options;
    if (this.#closed || entries.size === 0) return;
    this.#cancelTend = clock.after(milliseconds, () => {
      this.#cancelTend = undefined;
      void mutex.run(() => this.#tend()).catch((error) => this.#complain('looking after HAProxy', error));
    });
  }

  /** Makes what is as it should be, whatever happened to it, and reads all counters. */
  async #tend(): Promise<void> {
    if (this.#closed || this.#options.entries.size === 0) return;
    // Ends one that hangs.
    if (this.#proxy.current !== undefined) await this.#proxy.connect().catch(() => {});
    this.#noticeEnd();
    await this.#retryFaults();
    const gone = this.#proxy.current === undefined && this.#servable().length > 0;
    const wait = gone ? this.#restarts.waitMs : 0;
    if (wait > 0) this.#tendAfter(wait);
    else if (gone || !this.#settled) await this.trySync();
    else {
      await this.look();
      if (this.#cancelTend === undefined) this.#tendAfter(TEND_MS);
    }
    if (this.#settled) this.#tellRestart();
  }

  /** HAProxy may be gone without having been asked to. */
  #noticeEnd(): void {
    const gone = this.#restarts.notice(this.#proxy.current?.pid);
    if (gone !== undefined) for (const entry of this.#options.entries.values()) entry.lose(gone);
  }

  #tellRestart(): void {
    const took = this.#restarts.over();
    if (took === undefined) return;
    for (const entry of this.#servable()) {
      const message = `HAProxy had ended; ${entry.takeCut()} connections were cut; anew in ${took} ms`;
      this.#options.tell(entry, { type: 'service-restarted', message });
    }
  }

  /** Lets those be served again whose address is free now. */
  async #retryFaults(): Promise<void> {
    for (const entry of this.#options.entries.values()) {
      const { bind, port } = entry.record;
      if (entry.fault === null || (await bindFailure(bind, port)) !== undefined) continue;
      entry.fault = null;
      this.#settled = false;
    }
  }

  async #look(): Promise<void> {
    if (this.#proxy.current === undefined || this.#closed) return;
    const { entries, clock, endpoints, tell } = this.#options;
    const counts = await this.#proxy.counts();
    if (this.#closed) return;
    const now = clock.now();
    const current = this.#proxy.current?.pid;
    for (const entry of entries.values()) {
      entry.observe(counts, current, now);
      for (const news of entry.news(endpoints, now)) tell(entry, news);
    }
    if (counts.some(({ last }) => last)) this.#writeNotes();
  }

  #logged(line: string): void {
    const request = parseLine(line);
    if (request !== undefined) this.#options.entries.get(request.service)?.traffic.add(request);
    // HAProxy tells of its health checks in the same way.
    else if (line.startsWith('Server ')) this.#tendAfter(0);
  }

  get #notesPath(): string {
    return join(this.#options.directory, 'services.json');
  }

  #writeNotes(): void {
    const { current } = this.#proxy;
    if (current === undefined) return;
    const totals = Object.fromEntries(
      [...this.#options.entries.values()].map((entry) => [entry.record.id, entry.save(current.pid)]),
    );
    const notes: Notes = { ...current, structure: this.#structure, restarts: this.#restarts.count, totals };
    writeNotes(this.#notesPath, notes);
  }

  #complain(doing: string, error: unknown): void {
    this.#options.journal.error(doing, error);
  }
}

/** Why HAProxy could not be started for the sake of a service; undefined when it was not that. */
function unbound(error: unknown, { name, bind, port }: ServiceRecord): string | undefined {
  if (!(error instanceof StartFailure)) return undefined;
  const reason = error.unbound.get(frontendOf(name));
  return reason === undefined ? undefined : `${bindText(bind, port)}: ${reason}`;
}
