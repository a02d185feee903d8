/** All instances: their creation, their removal, and what is done to many at once. */
import { mkdirSync } from 'node:fs';
import type { EventLog } from '../core/events.ts';
import type { Journal } from '../core/journal.ts';
import type { Records } from '../core/table.ts';
import type { Drivers } from '../driver/drivers.ts';
import type { Kernel, KernelSize, SharedRegion } from '../driver/index.ts';
import type { KernelImage } from '../image/contract.ts';
import { assign, type Ledger, type Partition, type Pool } from '../ledger/index.ts';
import { type Clock, timestamp } from '../sys/clock.ts';
import { asPolykernelError, PolykernelError } from '../sys/errors.ts';
import type { Layout } from '../sys/paths.ts';
import { removeTree } from '../sys/remove-tree.ts';
import { changedRecords } from './changed-record.ts';
import { copyOwner } from './copy-owner.ts';
import { type CreateOptions, createInstance, possibleRequest, specOf, tryInstance } from './create.ts';
import type { InstanceEventType } from './events.ts';
import { identityProvider } from './give-identity.ts';
import type { Identities } from './identities.ts';
import { InPlace } from './in-place.ts';
import { Instance } from './instance.ts';
import type { Instances, Observed, StackPart } from './instances.ts';
import { instanceDirectory, kernelDirectory, workloadLogPath } from './launch.ts';
import { Launcher, type PrepareRoot } from './launcher.ts';
import { CARRIED_MS } from './life.ts';
import type { LogLine } from './log-line.ts';
import { logsOf } from './logs.ts';
import { prewarm } from './prewarm.ts';
import { changedAll, type Owners, type Provider, releaseAll } from './provider.ts';
import type { Change, InstanceRecord } from './record.ts';
import { RecordKeeper } from './record-keeper.ts';
import { type Entry, Registry } from './registry.ts';
import type { LogQuery, PrewarmRequest } from './requests.ts';
import { type CreateRequest, checkRequest } from './schema.ts';
import { acceptSources, writableBy } from './source.ts';
import type { InstanceSpec, InstanceTrial, Size } from './spec.ts';
import { takeUp } from './take-up.ts';
import { FileLog } from './workload-log.ts';

/** A foreground instance that no client comes for is removed after this long. */
const CLIENT_PATIENCE_MS = 15_000;

/** What the machine's pool is to instances; `P` is its record. */
export interface PoolOfHost<P> {
  readonly pool: Pool | null;
  housekeepingCpus(): readonly number[] | undefined;
  /** Those of `cpus` that firmware names, by what it names them. */
  apicIds(cpus: readonly number[]): { id: number; apicId: number }[];
  /** The record to write for another pool, before adopt(). Throws `conflict`. */
  next(pool: Pool): P;
  /** Into the store, within a transaction. */
  write(record: P): void;
  adopt(record: P): void;
}

export interface SupervisorOptions<P> {
  paths: Layout;
  records: Records<InstanceRecord>;
  /** Does all that `action` writes, or nothing. Throws `internal`. */
  transaction(action: () => void): void;
  events: EventLog;
  journal: Journal;
  clock: Clock;
  hostPool: PoolOfHost<P>;
  /** In the order of taking. */
  providers: readonly Provider[];
  /** The restart of an instance that waits for it is due. */
  restartDue(instance: Instance): void;
  /** Uniform in [0, 1). */
  random: () => number;
  drivers: Drivers;
  resolveImage(name: string): Promise<KernelImage>;
  prepareRoot: PrepareRoot;
  identities: Identities;
  /** Rotation of workload logs; default 8 MiB. */
  logBytes?: number | undefined;
}

/**
 * INVARIANTS
 * - Detached instances are in the store before their kernel is started; foreground ones only while their workload runs, so that a new
 *   daemon sees the directories of others as leftovers and ends them.
 * - An instance owns what its providers gave it from #establish to the end of #erase; the ledger is made of the instances'
 *   placements and the pool, so that there is no second record to agree with.
 */
export class Supervisor<P = unknown> implements Instances {
  readonly #options: SupervisorOptions<P>;
  readonly #registry = new Registry();
  readonly #providers: readonly Provider[];
  readonly #records: RecordKeeper;
  readonly #launcher: Launcher;
  readonly #inPlace: InPlace;
  #ending = false;

  constructor(options: SupervisorOptions<P>) {
    const { records, clock, journal, identities, hostPool } = options;
    this.#options = options;
    this.#inPlace = new InPlace({
      housekeepingCpus: () => hostPool.housekeepingCpus(),
      isEnding: () => this.#ending,
      complain: this.#complain,
    });
    this.#providers = [identityProvider(identities), this.#directories(), ...options.providers];
    this.#records = new RecordKeeper(records, clock, journal);
    this.#launcher = new Launcher({ ...options, providers: this.#providers, writable: () => this.#writable() });
  }

  list(): Instance[] {
    return this.#registry.list().map(({ instance }) => instance);
  }

  find(name: string): Instance | undefined {
    return this.#registry.find(name)?.instance;
  }

  get(name: string): Instance {
    return this.#registry.get(name).instance;
  }

  ledger(): Ledger {
    const partitions: Record<string, Partition> = {};
    for (const { name, record } of this.list()) {
      if (record.placement !== null) partitions[name] = record.placement.partition;
    }
    return { pool: this.#options.hostPool.pool, partitions };
  }

  async create(asked: CreateRequest, part?: StackPart): Promise<Instance> {
    const request = possibleRequest(asked);
    if (this.#ending) throw new PolykernelError('unavailable', 'the daemon is ending', { hint: 'Try again.' });
    const name = await this.#registry.reserve(request.name, this.#options.random);
    try {
      const instance = await createInstance(request, name, part, this.#createOptions(), (record, image) => {
        const made = this.#establish(record);
        this.#launcher.expect(record.id, image);
        return made;
      });
      const { record } = instance;
      this.#tell('created', record, '');
      if (record.spec.attached) this.#expectClient(this.#registry.get(name), CLIENT_PATIENCE_MS);
      for (const provider of this.#providers) provider.created?.(record);
      if (request.start !== false) instance.begin();
      return instance;
    } finally {
      this.#registry.free(name);
    }
  }

  /** What create() would make of it; nothing is made. Throws as that. */
  async tryOut(asked: CreateRequest): Promise<InstanceTrial> {
    const request = possibleRequest(asked);
    const name = await this.#registry.reserve(request.name, this.#options.random);
    try {
      return await tryInstance(request, name, this.#createOptions());
    } finally {
      this.#registry.free(name);
    }
  }

  #createOptions(): CreateOptions {
    const { drivers, resolveImage, clock } = this.#options;
    const [providers, complain] = [this.#providers, this.#complain];
    return { drivers, resolveImage, clock, providers, complain, writable: this.#writable() };
  }

  async remove(name: string, force = false): Promise<void> {
    const entry = this.#registry.get(name);
    const { instance } = entry;
    if (instance.state === 'backoff') await instance.stop();
    // More than once: who restarts it waits for its end too, and may be told of that first.
    while (instance.active) {
      if (!force) {
        throw new PolykernelError('conflict', `${instance.name} is ${instance.state}`, {
          field: 'name',
          value: instance.name,
          hint: `Stop it first (pk stop ${instance.name}), or remove it by force (pk rm -f ${instance.name}).`,
        });
      }
      await instance.kill('removed by force');
    }
    await this.#erase(entry);
  }

  async update(changes: ReadonlyMap<string, Change>, pool: Pool | null): Promise<void> {
    const { hostPool, records, transaction } = this.#options;
    for (const [name, { spec }] of changes)
      if (spec !== undefined)
        for (const provider of this.#providers) await provider.prepareChange?.(this.get(name).record, spec);
    const tenantOf = (name: string) => (changes.get(name)?.spec ?? this.find(name)?.record.spec)?.tenant;
    for (const { spec } of changes.values())
      if (spec !== undefined) for (const provider of this.#providers) provider.check?.(spec, tenantOf);
    const partitions: Record<string, Partition | null> = {};
    for (const [name, { placement }] of changes)
      if (placement !== undefined) partitions[name] = placement?.partition ?? null;
    const updates = changedRecords(changes, this, this.#providers);
    const ledger = this.ledger();
    assign({ ...ledger, pool: pool ?? ledger.pool }, partitions);
    const poolRecord = pool === null ? undefined : hostPool.next(pool);
    transaction(() => {
      for (const { record } of updates) records.put(record);
      if (poolRecord !== undefined) hostPool.write(poolRecord);
    });
    if (poolRecord !== undefined) hostPool.adopt(poolRecord);
    for (const { instance, record } of updates) instance.replaceRecord(record);
    try {
      await changedAll(this.#providers, updates);
    } finally {
      for (const { instance, record } of updates) if (record.former) this.#forgetFormer(instance.name);
    }
  }

  #forgetFormer(name: string): void {
    const entry = this.#registry.find(name);
    if (this.#ending || entry?.isErased !== false) return;
    const record = { ...entry.instance.record, former: null };
    this.#records.save(record); // one that is over goes with the next line
    entry.instance.replaceRecord(record);
  }

  async repin(name: string): Promise<void> {
    const instance = this.get(name);
    await instance.takenOver();
    await instance.repin(this.#options.hostPool.housekeepingCpus());
  }

  async resize(name: string, vcpuCpus: readonly number[] | null, part?: keyof Size): Promise<KernelSize | null> {
    return await this.get(name).resize(vcpuCpus, this.#options.hostPool.housekeepingCpus(), part);
  }

  async repinAll(names?: readonly string[]): Promise<void> {
    await this.#inPlace.repin(this.#named(names));
  }

  #named(names: readonly string[] | undefined): Instance[] {
    return names === undefined ? this.list() : names.map((name) => this.get(name));
  }

  async areInPlace(names?: readonly string[]): Promise<boolean> {
    return await this.#inPlace.areInPlace(this.#named(names));
  }

  async observe(): Promise<Observed[]> {
    return Promise.all(
      this.list().map(async (instance) => ({
        status: instance.status,
        definition: instance.record.definition,
        misplaced: await instance.misplaced(),
      })),
    );
  }

  async resolve(request: CreateRequest, name: string): Promise<InstanceSpec> {
    const { spec } = await specOf(checkRequest(request), name, this.#options);
    await acceptSources(spec, this.#writable());
    return spec;
  }

  async imageDigest(image: string): Promise<string> {
    return (await this.#options.resolveImage(image)).digest;
  }

  nameProblems(specs: readonly InstanceSpec[], stack: string): Map<string, PolykernelError> {
    const problems = this.#providers.flatMap(({ problems }) =>
      problems === undefined ? [] : [...problems(specs, (spec) => spec.stack === stack)],
    );
    return new Map(problems);
  }

  /** The output of an instance; follows until it has ended for good. */
  logs(name: string, query: LogQuery, signal: AbortSignal): AsyncGenerator<LogLine> {
    const entry = this.#registry.get(name);
    const { consoleLog } = this.paths(entry.instance);
    const isGone = () => this.#registry.find(entry.instance.name) !== entry;
    return logsOf(entry, query, { consoleLog, isGone, clock: this.#options.clock }, signal);
  }

  apicIds(cpus: readonly number[]) {
    return this.#options.hostPool.apicIds(cpus);
  }

  /** Paths and the log of one instance, for `inspect`. */
  paths(instance: Instance): { directory: string; consoleLog: string; log: string } {
    const { id } = instance.record;
    const { paths } = this.#options;
    return {
      directory: instanceDirectory(paths, id),
      consoleLog: instance.driver.consoleLog(kernelDirectory(paths, id)),
      log: workloadLogPath(paths, id),
    };
  }

  /** As copyOwner() names the instance `name`. */
  copyOwner(name: string): string {
    return copyOwner(this.#options.paths.home, name);
  }

  /** Makes what later kernels of this kind are cloned from. Resolves with the driver and image that such a request gets. */
  prewarm(request: PrewarmRequest, signal: AbortSignal): Promise<{ driver: string; image: string }> {
    return prewarm(request, this.#options, signal);
  }

  /** Takes up what an earlier daemon left and ends what it forgot, as takeUp(). */
  takeUp(): Promise<void> {
    const owners = (): Owners => ({
      ids: new Set(this.list().map(({ record }) => record.id)),
      names: new Set(this.#registry.names()),
    });
    const options = { ...this.#options, providers: this.#providers, owners, isEnding: () => this.#ending };
    return takeUp(options, {
      add: (record) => {
        this.#records.found(record);
        const entry = this.#add(record);
        if (record.spec.attached) this.#expectClient(entry, CARRIED_MS);
      },
      settled: ({ spec }) => this.#forgetFormer(spec.name),
      adopt: async ({ spec: { name } }, alive) => {
        const entry = this.#registry.find(name);
        if (entry?.isErased !== false) return;
        await entry.instance.adopt(alive).catch((error) => this.#complain(`taking over ${name}`, error));
        await this.#eraseIfDone(entry);
      },
    });
  }

  /** Ends removals that are under way and lets go of all kernels; they run on. Without `farewell` nothing more is written, as after SIGKILL. */
  async detach(farewell = true): Promise<void> {
    this.#ending = true;
    const entries = this.#registry.list();
    if (farewell) await Promise.all(entries.filter(({ isErased }) => isErased).map(({ gone }) => gone));
    await Promise.all(this.#registry.list().map(({ instance }) => instance.detach(farewell)));
    for (const { log } of this.#registry.list()) log.close(farewell);
    if (farewell) this.#records.saveAgain();
  }

  /** A client that attaches to a foreground instance that has ended already is what its removal waited for. */
  clientServed(instance: Instance): void {
    const entry = this.#registry.find(instance.name);
    if (entry?.instance === instance && instance.record.spec.attached && instance.state === 'exited')
      void this.#erase(entry);
  }

  /** Where all of an instance lies. What could not be mapped is noted in there, so it goes before the ids do. */
  #directories(): Provider {
    return {
      name: 'its directory',
      release: async ({ id }) => {
        this.#launcher.noteUnmapped(id);
        await removeTree(instanceDirectory(this.#options.paths, id));
      },
    };
  }

  /** Directory, store and registry: all of it or nothing. Throws `internal`. */
  #establish(record: InstanceRecord): Instance {
    const { paths, records } = this.#options;
    try {
      mkdirSync(instanceDirectory(paths, record.id), { recursive: true, mode: 0o700 });
      if (!record.spec.attached) records.put(record);
      return this.#add(record).instance;
    } catch (error) {
      throw asPolykernelError(error, `recording ${record.spec.name}`);
    }
  }

  #add(record: InstanceRecord): Entry {
    const { paths, clock, journal, drivers, logBytes } = this.#options;
    const driver = drivers.find(record.spec.driver)!;
    const log = new FileLog(workloadLogPath(paths, record.id), clock, logBytes);
    const instance = new Instance(record, {
      clock,
      driver,
      log,
      prepareLaunch: (current, signal, progress, hold) =>
        this.#launcher.prepare(current, driver, { signal, progress, hold }),
      kernelUp: (kernel, regions, adopted) => {
        this.#kernelUp(record, kernel, regions, adopted);
        this.#inPlace.begin(instance, adopted);
      },
      resumed: async (kernel) => void (await Promise.all(this.#providers.map((each) => each.resumed?.(kernel)))),
      destroy: ({ directory, id }) => driver.destroy(directory, id),
      save: (current) => {
        if (!entry.isErased) this.#records.save(current);
      },
      restartDue: () => this.#options.restartDue(instance),
      tell: (type, current, message) => this.#tell(type, current, message),
      complain: (text, error) => journal.error(text, error),
    });
    const { promise: gone, resolve: removed } = Promise.withResolvers<void>();
    const entry: Entry = { instance, log, gone, removed, isErased: false };
    this.#registry.add(entry);
    instance.onChange(() => {
      if (!instance.active) log.flush();
      this.#eraseIfDone(entry);
    });
    return entry;
  }

  /** What was to be removed at its end, and has ended. */
  #eraseIfDone(entry: Entry): void {
    const { instance } = entry;
    if (this.#ending || !instance.record.spec.autoRemove || instance.state !== 'exited') return;
    // The client of one in the foreground is told first.
    if (instance.record.spec.attached || entry.isErased) return;
    this.#erase(entry).catch((error) => this.#complain(`removing ${instance.name}`, error));
  }

  #kernelUp(record: InstanceRecord, kernel: Kernel, regions: readonly SharedRegion[], adopted: boolean): void {
    for (const news of this.#launcher.noteUnmapped(record.id)) if (!adopted) this.#tell('unmapped', record, news);
    for (const provider of this.#providers) provider.kernelUp?.(record, kernel, regions, adopted);
  }

  /** Removes a foreground instance once it has ended and its client, if it still comes, has been told. */
  #expectClient(entry: Entry, patienceMs: number): void {
    const { instance } = entry;
    instance.onChange(() => {
      if (instance.state === 'exited' && instance.client !== undefined) void this.#erase(entry);
    });
    this.#options.clock.after(patienceMs, () => {
      if (this.#ending || instance.client !== undefined || this.#registry.find(instance.name) === undefined) return;
      this.remove(instance.name, true).catch((error) => this.#complain(`removing ${instance.name}`, error));
    });
  }

  /** All of it, its record first: what is left after a crash is then a leftover and no instance. Throws `internal` when that cannot be written; it is all there still. */
  async #erase(entry: Entry): Promise<void> {
    if (entry.isErased) return entry.gone;
    const { instance, log } = entry;
    const { record } = instance;
    this.#records.delete(record);
    entry.isErased = true;
    for (const step of [() => instance.detach(), () => log.close()])
      await Promise.try(step).catch((error) => this.#complain(`removing ${instance.name}`, error));
    this.#launcher.forget(record.id);
    await releaseAll(this.#providers, record, this.#complain);
    this.#registry.delete(instance.name);
    this.#tell('removed', record, '');
    entry.removed();
  }

  #writable(): string[] {
    return writableBy(this.list().map(({ record }) => record));
  }

  readonly #complain = (doing: string, error: unknown): void => this.#options.journal.error(doing, error);

  #tell(type: InstanceEventType, { id, spec }: InstanceRecord, message: string): void {
    const { events, clock } = this.#options;
    events.tell({ at: timestamp(clock), type, name: spec.name, id, message });
  }
}
