import { existsSync, mkdirSync } from 'node:fs';
import type { EventLog } from '../core/events.ts';
import type { Journal } from '../core/journal.ts';
import type { Records } from '../core/table.ts';
import type { Drivers } from '../driver/drivers.ts';
import type { Driver, DriverName, Kernel, SharedRegion } from '../driver/index.ts';
import type { RootSource } from '../image/contract.ts';
import { defaultImage, type KernelImage, type RootOptions } from '../image/contract.ts';
import { assign, type Ledger, type Partition, type Pool, place } from '../ledger/index.ts';
import { type Clock, timestamp } from '../sys/clock.ts';
import { asPolykernelError, PolykernelError } from '../sys/errors.ts';
import type { Identity } from '../sys/identity.ts';
import type { Layout } from '../sys/paths.ts';
import { removeTree } from '../sys/remove-tree.ts';
import { isRootUser } from '../sys/user-text.ts';
import {
  acceptSources,
  CREATED,
  type CreateRequest,
  checkCreateRequest,
  checkSource,
  generateName,
  Instance,
  type InstanceRecord,
  type InstanceSpec,
  type LogLine,
  type LogQuery,
  newInstanceId,
  type Placement,
  resolveSpec,
  type Sources,
} from './contract.ts';
import type { Identities } from './identities.ts';
import type { Instances, Observed, StackPart } from './instances.ts';
import {
  destroyLaunch,
  instanceDirectory,
  kernelDirectory,
  prepareLaunch,
  removeLeftovers,
  renewKernelDirectory,
  unmappedOf,
  workloadLogPath,
} from './launch.ts';
import type { Following } from './log-file.ts';
import { readConsole, readLog } from './log-reader.ts';
import type { ChannelEnds, Network, PoolOfHost } from './needs.ts';
import { FileLog } from './workload-log.ts';

/** A foreground instance that no client comes for is removed after this long. */
const CLIENT_PATIENCE_MS = 15_000;
/** How long reconciliation may delay the daemon's readiness. */
const ADOPT_PATIENCE_MS = 10_000;
const SAVE_AGAIN_MS = 5_000;
const CONSOLE_POLL_MS = 200;

/** `P`: the record of the pool. */
export interface SupervisorOptions<P> {
  paths: Layout;
  store: { instances: Records<InstanceRecord>; putAll(records: readonly InstanceRecord[], pool?: P): void };
  events: EventLog;
  journal: Journal;
  clock: Clock;
  hostPool: PoolOfHost<P>;
  network: Network;
  channels: ChannelEnds;
  /** A kernel of an instance is ready, started with `regions` of shared memory or found again. */
  kernelUp(record: InstanceRecord, kernel: Kernel, regions: readonly SharedRegion[], adopted: boolean): void;
  /** A kernel runs again after a pause. */
  resumed(kernel: Kernel): Promise<void>;
  /** Uniform in [0, 1). */
  random: () => number;
  drivers: Drivers;
  resolveImage(name: string): Promise<KernelImage>;
  prepareRoot(path: string, options: Pick<RootOptions, 'progress' | 'signal' | 'seen' | 'hold'>): Promise<RootSource>;
  /** Whether kernels can be given other user ids. */
  identities: Identities;
  /** Rotation of workload logs; default 8 MiB. */
  logBytes?: number | undefined;
}

/** Without ids to give away, what a user of the guest other than its root writes would be the caller's own. Throws `unsupported`. */
function checkUser({ name, user, volumes }: InstanceSpec, identity: Identity): void {
  const setId = volumes.findIndex(({ maySetId }) => maySetId);
  if (setId >= 0 && identity.kind !== 'range') {
    throw new PolykernelError(
      'permission',
      `${name} is to make set-uid files, and only root may let a kernel do that`,
      {
        field: `volumes[${setId}].maySetId`,
        value: true,
        hint: 'Leave :suid out, or run Polykernel as root.',
      },
    );
  }
  if (identity.kind !== 'single' || isRootUser(user) || volumes.every(({ readOnly }) => readOnly)) return;
  throw new PolykernelError(
    'unsupported',
    `${name} is to run as user ${user} with a writable volume, and its files could belong to nobody but you`,
    {
      field: 'user',
      value: user,
      hint: 'Get ids for it, as root: apt-get install uidmap && usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER. Or run it as the root of its kernel.',
    },
  );
}

/** Without FUSE, what a user of a UML guest makes on a volume is its root's. Throws `unsupported`. */
function checkOwners({ name, driver, user, volumes }: InstanceSpec, image: KernelImage): void {
  if (driver !== 'uml' || /^(0|root)(:|$)/.test(user) || image.modules.fuse !== undefined) return;
  if (volumes.every(({ readOnly }) => readOnly)) return;
  const message = `${name} is to run as user ${user} with a writable volume, and what he makes there would be root's: the image ${image.name} has no FUSE`;
  throw new PolykernelError('unsupported', message, {
    field: 'image',
    value: image.name,
    hint:
      image.name === defaultImage(driver)
        ? `Get it anew: pk image pull ${image.name}. Or use --driver qemu.`
        : 'Import it with its modules (`pk image import FILE --modules DIRECTORY`), or use --driver qemu.',
  });
}

/** Other paths are looked at anew when they are first used. */
const withSources = (record: InstanceRecord, { root, volumes, cwd }: InstanceSpec): InstanceRecord =>
  JSON.stringify([root, volumes, cwd]) === JSON.stringify([record.spec.root, record.spec.volumes, record.spec.cwd])
    ? record
    : { ...record, sources: null };

interface Entry {
  instance: Instance;
  log: FileLog;
  /** Resolves once it is removed. */
  gone: Promise<void>;
  removed(): void;
}

/**
 * All instances by name.
 *
 * INVARIANTS
 * - A name is in #entries or #reserved from before anything of an instance exists until all of it is gone.
 * - Detached instances are in the store before their kernel is started; foreground ones never are, so that a new daemon
 *   sees their directories as leftovers and ends them.
 * - An instance owns its placement's partition from #establish to the end of #erase; the ledger is made of these and the
 *   pool, so that there is no second record to agree with.
 */
export class Supervisor<P = unknown> implements Instances {
  readonly #options: SupervisorOptions<P>;
  readonly #entries = new Map<string, Entry>();
  readonly #reserved = new Set<string>();
  /** Whose record is gone, while the rest is being removed. */
  readonly #erasing = new Set<Entry>();
  readonly #unsaved = new Map<string, InstanceRecord>();
  /** Images of instances about to be started for the first time, so that they are not looked up twice. */
  readonly #images = new Map<string, KernelImage>();
  #ending = false;

  constructor(options: SupervisorOptions<P>) {
    this.#options = options;
  }

  list(): Instance[] {
    return [...this.#entries.values()].map((entry) => entry.instance);
  }

  /** By name; undefined when there is none. */
  find(name: string): Instance | undefined {
    return this.#entries.get(name)?.instance;
  }

  /** By name or id. Throws `not-found`. */
  get(name: string): Instance {
    return this.#entry(name).instance;
  }

  /** Who owns what now. */
  ledger(): Ledger {
    const partitions: Record<string, Partition> = {};
    for (const { name, record } of this.list()) {
      if (record.placement !== null) partitions[name] = record.placement.partition;
    }
    return { pool: this.#options.hostPool.pool, partitions };
  }

  /**
   * Records an instance and, unless told otherwise, begins to start it. Throws what checks and the store throw, and
   * `conflict` when the pool cannot give what it asks for.
   */
  async create(body: unknown, part?: StackPart): Promise<Instance> {
    const request = checkCreateRequest(body);
    if (this.#ending) throw new PolykernelError('unavailable', 'the daemon is ending', { hint: 'Try again.' });
    if (request.attached && request.start === false) {
      throw new PolykernelError('invalid', 'start is false, but a foreground instance starts at once', {
        field: 'start',
        value: false,
      });
    }
    const name = await this.#reserve(request.name);
    // Given back in reverse order whatever throws, until the instance has it all; the name last.
    const taken = new AsyncDisposableStack();
    try {
      const image = request.image ? await this.#options.resolveImage(request.image) : undefined;
      const resolved = resolveSpec(
        request,
        name,
        await this.#options.drivers.hostFacts(request.driver ?? 'auto', image?.kind),
      );
      const spec = { ...resolved, stack: part?.stack ?? null };
      const sources = await acceptSources(spec);
      const id = newInstanceId();
      const chosen = image ?? (await this.#options.resolveImage(spec.image));
      this.#images.set(id, chosen);
      taken.defer(() => void this.#images.delete(id));
      const unclaim = await this.#options.channels.claim(name, spec.tenant, spec.channels);
      taken.defer(unclaim);
      const identity = this.#options.identities.take(id);
      taken.defer(() => this.#options.identities.release(id));
      checkUser(spec, identity);
      checkOwners(spec, chosen);
      const now = timestamp(this.#options.clock);
      const record: InstanceRecord = {
        id,
        spec,
        machine: CREATED,
        launch: null,
        session: null,
        identity,
        sources,
        bootId: null,
        kernelRelease: null,
        cloned: null,
        imageDigest: null,
        createdAt: now,
        startedAt: null,
        readyAt: null,
        readyMs: null,
        workingDirectory: null,
        restartAt: null,
        placement: null,
        definition: part?.definition ?? null,
        networkNumber: spec.network === 'none' ? null : this.#options.network.take(spec),
      };
      // From here to #establish nothing is awaited: what is free stays free.
      record.placement = part === undefined ? this.#place(spec) : part.placement;
      if (record.placement !== null) assign(this.ledger(), { [name]: record.placement.partition });
      const instance = this.#establish(record, taken);
      taken.move();
      this.#tell('created', record, '');
      if (spec.attached) this.#expectClient(this.#entry(name));
      if (record.networkNumber !== null) this.#options.network.tellNames();
      if (request.start !== false) instance.begin();
      return instance;
    } catch (error) {
      await taken.disposeAsync().catch((failure) => this.#complain(`giving back what ${name} took`, failure));
      throw error;
    } finally {
      this.#reserved.delete(name);
    }
  }

  /** Throws `conflict` for one that runs, unless forced. */
  async remove(name: string, force = false): Promise<void> {
    const entry = this.#entry(name);
    const { instance } = entry;
    if (instance.active && !force) {
      throw new PolykernelError('conflict', `${instance.name} is ${instance.state}`, {
        field: 'name',
        value: instance.name,
        hint: `Stop it first (pk stop ${instance.name}), or remove it by force (pk rm -f ${instance.name}).`,
      });
    }
    if (instance.active) await instance.kill('removed by force');
    else if (instance.state === 'backoff') await instance.stop();
    await this.#erase(entry);
  }

  /**
   * Gives instances other specs and placements, and the machine another pool unless it is null, in one step: either all
   * of it is recorded or nothing. What runs is not touched, nor the host kernel. Throws `conflict` when something would be
   * owned twice.
   */
  update(
    changes: ReadonlyMap<string, Partial<Pick<InstanceRecord, 'spec' | 'placement' | 'definition'>>>,
    pool: Pool | null,
  ): void {
    const { hostPool, store, channels } = this.#options;
    const tenantOf = (name: string) => (changes.get(name)?.spec ?? this.find(name)?.record.spec)?.tenant;
    for (const [name, { spec }] of changes) if (spec !== undefined) channels.checkOwner(name, spec.tenant, tenantOf);
    const partitions: Record<string, Partition | null> = {};
    const updates = [...changes].map(([name, change]) => {
      const { instance } = this.#entry(name);
      if (change.placement !== undefined) partitions[name] = change.placement?.partition ?? null;
      return { instance, record: withSources({ ...instance.record, ...change }, instance.record.spec) };
    });
    const ledger = this.ledger();
    assign({ ...ledger, pool: pool ?? ledger.pool }, partitions);
    const poolRecord = pool === null ? undefined : hostPool.next(pool);
    const records = updates.map(({ record }) => record);
    store.putAll(records, poolRecord);
    if (poolRecord !== undefined) hostPool.adopt(poolRecord);
    for (const { instance, record } of updates) instance.replaceRecord(record);
  }

  /** Moves a running kernel to the CPUs its instance owns now; for any other there is nothing to do. */
  async repin(name: string): Promise<void> {
    const { instance } = this.#entry(name);
    await instance.repin(this.#options.hostPool.housekeepingCpus());
  }

  /** Moves what is no vCPU with a CPU of its own to the housekeeping CPUs, which may have changed. */
  async repinAll(): Promise<void> {
    const { hostPool, journal } = this.#options;
    await Promise.all(
      this.list().map((instance) =>
        instance
          .repin(hostPool.housekeepingCpus())
          .catch((error) => journal.error(`moving ${instance.name} to its CPUs`, error)),
      ),
    );
  }

  /** All instances with what plans are made from. */
  async observe(): Promise<Observed[]> {
    return Promise.all(
      this.list().map(async (instance) => ({
        status: instance.status,
        definition: instance.record.definition,
        misplaced: await instance.misplaced(),
      })),
    );
  }

  /** The spec a request would give an instance called `name`. Throws as create() does. */
  async resolve(body: unknown, name: string): Promise<InstanceSpec> {
    const request = checkCreateRequest(body);
    const image = request.image ? await this.#options.resolveImage(request.image) : undefined;
    const spec = resolveSpec(
      request,
      name,
      await this.#options.drivers.hostFacts(request.driver ?? 'auto', image?.kind),
    );
    await acceptSources(spec);
    return spec;
  }

  /** What would be wrong with the names of these as the kernels of a stack, by name. */
  nameProblems(specs: readonly InstanceSpec[], stack: string): Map<string, PolykernelError> {
    return this.#options.network.nameProblems(specs, (spec) => spec.stack === stack);
  }

  /** The output of an instance; follows until it has ended for good. */
  logs(name: string, query: LogQuery, signal: AbortSignal): AsyncGenerator<LogLine> {
    const entry = this.#entry(name);
    const { instance, log } = entry;
    const over = () => instance.state === 'exited' || instance.state === 'created' || !this.#entries.has(instance.name);
    if (query.source === 'console') {
      const path = instance.driver.consoleLog(kernelDirectory(this.#options.paths, instance.record.id));
      return readConsole(path, query, { over, changed: (abort) => this.#pause(CONSOLE_POLL_MS, abort) }, signal);
    }
    log.flush();
    const following: Following = {
      over,
      changed: (abort) =>
        new Promise((resolve) => {
          const finish = () => {
            log.off('flushed', finish).off('closed', finish);
            stopListening();
            abort.removeEventListener('abort', finish);
            resolve();
          };
          const stopListening = instance.onChange(finish);
          log.on('flushed', finish).on('closed', finish);
          abort.addEventListener('abort', finish, { once: true });
          // What came while it read was told to nobody: the last word above all.
          if (abort.aborted || over()) finish();
        }),
    };
    return readLog(log, query, following, signal);
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

  /** The driver and image that a request without more would get. */
  async prewarm(
    request: { name?: string; driver?: 'auto' | DriverName; cpus?: number; memoryBytes?: number },
    signal: AbortSignal,
  ): Promise<{ driver: DriverName; image: string }> {
    const named = request.name ? await this.#options.resolveImage(request.name) : undefined;
    const create: CreateRequest = {
      command: ['true'],
      driver: request.driver ?? 'auto',
      cpus: request.cpus,
      memoryBytes: request.memoryBytes,
      image: request.name,
    };
    const spec = resolveSpec(create, 'prewarm', await this.#options.drivers.hostFacts(create.driver!, named?.kind));
    const image = named ?? (await this.#options.resolveImage(spec.image));
    const { cpus, memoryBytes } = spec;
    const housekeepingCpus = this.#options.hostPool.housekeepingCpus();
    const id = newInstanceId();
    const identity = this.#options.identities.take(id);
    try {
      const wanted = { image, cpus, memoryBytes, housekeepingCpus, identity };
      await this.#options.drivers.find(spec.driver)!.prewarm(wanted, signal);
    } finally {
      this.#options.identities.release(id);
    }
    return { driver: spec.driver, image: image.name };
  }

  /** Takes up what an earlier daemon left and ends what it forgot. Resolves when nearly all of that is done. */
  async reconcile(): Promise<void> {
    const { store, journal, paths, identities } = this.#options;
    mkdirSync(paths.instances, { recursive: true, mode: 0o700 });
    const records = store.instances.all((_, name, error) =>
      journal.error(`the record of ${name} cannot be read and is ignored; what it describes is ended`, error),
    );
    const leftovers = await removeLeftovers(
      paths,
      records.map((record) => record.id),
      (name) => this.#options.drivers.find(name),
      (text, error) => journal.error(text, error),
    );
    if (leftovers > 0) journal.info('removed leftovers', { count: leftovers });
    identities.releaseAllBut(new Set(records.map(({ id }) => id)));
    const adoptions = records.map(async (record) => {
      if (this.#options.drivers.find(record.spec.driver) === undefined) {
        journal.error(
          `${record.spec.name} needs the driver ${record.spec.driver}, which this daemon does not have; it is left alone`,
        );
        return;
      }
      const entry = this.#add(record);
      await entry.instance.adopt().catch((error) => journal.error(`taking over ${record.spec.name}`, error));
    });
    await Promise.race([Promise.all(adoptions), this.#pause(ADOPT_PATIENCE_MS)]);
  }

  /** Ends removals that are under way and lets go of all kernels; they run on. Without `farewell` nothing more is written, as after SIGKILL. */
  async detach(farewell = true): Promise<void> {
    this.#ending = true;
    if (farewell) await Promise.all([...this.#erasing].map(({ gone }) => gone));
    await Promise.all([...this.#entries.values()].map((entry) => entry.instance.detach()));
    for (const { log } of this.#entries.values()) log.close(farewell);
    if (farewell) this.#saveAgain();
  }

  #entry(name: string): Entry {
    const entry =
      this.#entries.get(name) ?? [...this.#entries.values()].find(({ instance }) => instance.record.id === name);
    if (entry !== undefined) return entry;
    throw new PolykernelError('not-found', `there is no instance ${JSON.stringify(name)}`, {
      field: 'name',
      value: name,
      hint: 'See `pk ps` for those there are.',
    });
  }

  /** A name nobody has, waiting for a foreground instance of that name that has just ended. Throws `conflict`. */
  async #reserve(wanted: string | undefined): Promise<string> {
    const taken = (name: string) => this.#entries.has(name) || this.#reserved.has(name);
    const name = wanted ?? generateName(taken, this.#options.random);
    const holder = this.#entries.get(name);
    if (holder?.instance.record.spec.attached && ['stopping', 'exited'].includes(holder.instance.state))
      await holder.gone;
    if (taken(name)) {
      throw new PolykernelError('conflict', `the name ${name} is taken`, {
        field: 'name',
        value: name,
        hint: `Choose another one, or remove it: pk rm -f ${name}`,
      });
    }
    this.#reserved.add(name);
    return name;
  }

  /** Where the planner puts one more instance, everything else staying where it is. Throws `conflict` saying why not. */
  #place(spec: InstanceSpec): Placement | null {
    if (spec.partition === null) return null;
    const { pool, partitions } = this.ledger();
    if (pool === null) {
      throw new PolykernelError('conflict', `${spec.name} asks for a partition, and there is no pool`, {
        field: 'partition',
        hint: 'Make one: pk pool init --cpus LIST --memory SIZE',
      });
    }
    const { placed, refused } = place({
      topology: this.#options.hostPool.topology(),
      pool,
      requests: [{ name: spec.name, request: spec.partition, current: null }],
      fixed: partitions,
    });
    const [refusal] = refused;
    if (refusal !== undefined) {
      const { field, message, hint } = refusal;
      throw new PolykernelError('conflict', `${spec.name} ${message}`, { field: `partition.${field}`, hint });
    }
    const { partition, vcpuCpus, reasons } = placed[0]!;
    return { partition, vcpuCpus, reasons };
  }

  /** Directory, store and map; `taken` undoes them. */
  #establish(record: InstanceRecord, taken: AsyncDisposableStack): Instance {
    const { paths, store } = this.#options;
    const directory = instanceDirectory(paths, record.id);
    try {
      taken.defer(() => removeTree(directory));
      mkdirSync(directory, { recursive: true, mode: 0o700 });
      if (!record.spec.attached) store.instances.put(record);
      taken.defer(() => {
        this.#entries.delete(record.spec.name);
        if (!record.spec.attached) store.instances.delete(record.id);
      });
      return this.#add(record).instance;
    } catch (error) {
      throw asPolykernelError(error, `recording ${record.spec.name}`);
    }
  }

  #add(record: InstanceRecord): Entry {
    const { paths, clock, journal } = this.#options;
    const driver = this.#options.drivers.find(record.spec.driver)!;
    const log = new FileLog(workloadLogPath(paths, record.id), clock, this.#options.logBytes);
    const instance = new Instance(record, {
      clock,
      driver,
      log,
      prepareLaunch: (current, ...rest) => this.#prepareLaunch(current, driver, ...rest),
      kernelUp: (kernel, regions, adopted) => {
        this.#noteUnmapped(record, !adopted);
        this.#options.kernelUp(record, kernel, regions, adopted);
      },
      resumed: (kernel) => this.#options.resumed(kernel),
      destroy: (launch) => destroyLaunch(launch, driver),
      save: (current) => this.#save(current),
      tell: (type, current, message) => this.#tell(type, current, message),
      complain: (text, error) => journal.error(text, error),
    });
    const { promise: gone, resolve: removed } = Promise.withResolvers<void>();
    const entry = { instance, log, gone, removed };
    this.#entries.set(instance.name, entry);
    instance.onChange(() => {
      if (!instance.active) log.flush();
    });
    return entry;
  }

  async #prepareLaunch(
    record: InstanceRecord,
    driver: Driver,
    signal: AbortSignal,
    progress: (text: string) => void,
    hold: (lease: number) => void,
  ) {
    const { paths, identities } = this.#options;
    const image = this.#images.get(record.id) ?? (await this.#options.resolveImage(record.spec.image));
    this.#images.delete(record.id);
    const { spec } = record;
    // The same as ever, unless somebody who could not see this daemon took it for gone.
    const identity = identities.take(record.id);
    const sources = record.sources?.shown === undefined ? await this.#accept(record) : record.sources;
    const root = await this.#root({ spec, identity, sources }, { signal, progress, hold });
    // Nothing of an earlier run may live on in the directory.
    if (existsSync(kernelDirectory(paths, record.id)) && record.launch !== null)
      await destroyLaunch(record.launch, undefined);
    this.#noteUnmapped(record);
    signal.throwIfAborted();
    const { hostPool, channels, network } = this.#options;
    const kept = { identity, sources };
    const consoleLog = driver.consoleLog(kernelDirectory(paths, record.id));
    const directory = await renewKernelDirectory(paths, record.id, consoleLog);
    const launch = prepareLaunch(paths, directory, { ...record, ...kept }, driver, {
      image,
      root,
      housekeepingCpus: hostPool.housekeepingCpus(),
      homes: identities.homes(),
      regions: channels.regionsOf(spec.name),
      network: await network.join(record, driver.capabilities()),
    });
    return { launch, kept };
  }

  /** What a record from before it was looked at lacks. */
  async #accept({ spec, sources }: InstanceRecord): Promise<Sources> {
    if (sources === null) return await acceptSources(spec);
    return { ...sources, shown: (await acceptSources({ ...spec, volumes: [] })).shown ?? null };
  }

  async #root(
    { spec, identity, sources }: { spec: InstanceSpec; identity: Identity; sources: Sources },
    options: Required<Pick<RootOptions, 'progress' | 'hold'>> & { signal: AbortSignal },
  ): Promise<RootSource> {
    // Who runs in the foreground is the one who asked, and sees what he may; others see what everybody may.
    if (sources.root === null) return { kind: 'host', mapped: spec.attached && identity.kind === 'range' };
    await checkSource(sources.root);
    return await this.#options.prepareRoot(sources.root.path, { ...options, seen: sources.root });
  }

  /** What the last launch could not show with the owners that its kernel has: told, and its ids are nobody else's any more. */
  #noteUnmapped(record: InstanceRecord, isNews = false): void {
    const unmapped = unmappedOf(this.#options.paths, record.id);
    if (unmapped.some(({ readOnly }) => !readOnly)) this.#options.identities.spend(record.id);
    if (!isNews) return;
    for (const { path, reason } of unmapped)
      this.#tell(
        'unmapped',
        record,
        `${path} is shown as everybody may see it: its owners cannot be mapped (${reason})`,
      );
  }

  /** Removes a foreground instance once it has ended and its client, if it still comes, has been told. */
  #expectClient(entry: Entry): void {
    const { instance } = entry;
    const eraseWhenOver = () => {
      if (instance.state === 'exited' && instance.hasClient) void this.#erase(entry);
    };
    instance.onChange(eraseWhenOver);
    this.#options.clock.after(CLIENT_PATIENCE_MS, () => {
      if (this.#ending || instance.hasClient || !this.#entries.has(instance.name)) return;
      this.remove(instance.name, true).catch((error) =>
        this.#options.journal.error(`removing ${instance.name}`, error),
      );
    });
  }

  /** A client that attaches to a foreground instance that has ended already is what its removal waited for. */
  clientServed(instance: Instance): void {
    const entry = this.#entries.get(instance.name);
    if (entry?.instance === instance && instance.record.spec.attached && instance.state === 'exited')
      void this.#erase(entry);
  }

  /** All of it, its record first: what is left after a crash is then a leftover and no instance. Throws `internal` when that cannot be written; it is all there still. */
  async #erase(entry: Entry): Promise<void> {
    if (this.#erasing.has(entry)) return entry.gone;
    const { instance, log } = entry;
    const { record } = instance;
    const { paths, store, channels, network } = this.#options;
    if (!record.spec.attached) store.instances.delete(record.id);
    this.#erasing.add(entry);
    this.#unsaved.delete(record.id);
    const steps = [
      () => instance.detach(),
      () => log.close(),
      () => channels.release(instance.name),
      () => network.leave(record),
      () => this.#noteUnmapped(record),
      () => removeTree(instanceDirectory(paths, record.id)),
    ];
    for (const step of steps) {
      try {
        await step();
      } catch (error) {
        this.#complain(`removing ${instance.name}`, error);
      }
    }
    this.#images.delete(record.id);
    this.#options.identities.release(record.id);
    this.#entries.delete(instance.name);
    this.#erasing.delete(entry);
    this.#tell('removed', record, '');
    entry.removed();
  }

  #complain(doing: string, error: unknown): void {
    this.#options.journal.error(doing, error);
  }

  #tell(type: Parameters<EventLog['tell']>[0]['type'], record: InstanceRecord, message: string): void {
    this.#options.events.tell({
      at: timestamp(this.#options.clock),
      type,
      name: record.spec.name,
      id: record.id,
      message,
    });
  }

  #save(record: InstanceRecord): void {
    const entry = this.#entries.get(record.spec.name);
    if (record.spec.attached || (this.#ending && entry === undefined)) return;
    if (entry !== undefined && this.#erasing.has(entry)) return;
    try {
      this.#options.store.instances.put(record);
      this.#unsaved.delete(record.id);
    } catch (error) {
      // The disk is full: what runs goes on, and the record is written when it can be.
      if (this.#unsaved.size === 0) this.#options.clock.after(SAVE_AGAIN_MS, () => this.#saveAgain());
      this.#unsaved.set(record.id, record);
      this.#options.journal.error(`keeping the record of ${record.spec.name}`, error);
    }
  }

  #saveAgain(): void {
    const records = [...this.#unsaved.values()];
    this.#unsaved.clear();
    for (const record of records) this.#save(record);
  }

  #pause(milliseconds: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const finish = () => {
        cancel();
        signal?.removeEventListener('abort', finish);
        resolve();
      };
      const cancel = this.#options.clock.after(milliseconds, finish);
      signal?.addEventListener('abort', finish, { once: true });
    });
  }
}
