/** The composition root: store, supervisor, API and socket make one daemon. */
import { chmodSync, existsSync, rmSync } from 'node:fs';
import type { Server } from 'node:http';
import { join } from 'node:path';
import { type ApiContext, createApi, type DoctorCheck, type Images, serveStreams } from '../api/index.ts';
import { Channels, KEEPER_DIRECTORY } from '../channel/channels.ts';
import { Keepers } from '../channel/contract.ts';
import { endProvider } from '../channel/give-ends.ts';
import { channelTable } from '../channel/record.ts';
import { channelExecutors } from '../channel/steps.ts';
import { EventLog } from '../core/events.ts';
import { type Journal, silentJournal } from '../core/journal.ts';
import { Mutex } from '../core/mutex.ts';
import { stepTable } from '../core/step-journal.ts';
import { Steps } from '../core/steps.ts';
import { forgetHolder, Store } from '../core/store.ts';
import { Drivers } from '../driver/drivers.ts';
import type { Driver, DriverName } from '../driver/index.ts';
import type { KernelImage, RootOptions, RootSource } from '../image/contract.ts';
import { identitiesOf } from '../instance/choose-identities.ts';
import { GuestClocks } from '../instance/guest-clocks.ts';
import type { Identities } from '../instance/identities.ts';
import { instanceTable } from '../instance/record.ts';
import { instanceExecutors } from '../instance/steps.ts';
import { Supervisor } from '../instance/supervisor.ts';
import { Forwards } from '../network/forwards.ts';
import { addressProvider } from '../network/give-address.ts';
import { Network } from '../network/network.ts';
import type { PoolRecord } from '../pool/contract.ts';
import { partitionProvider } from '../pool/give-partition.ts';
import { HostPool, type PoolEnforcement } from '../pool/host-pool.ts';
import type { PoolLease } from '../pool/pool-lease.ts';
import { Resources } from '../pool/resources.ts';
import { poolExecutors } from '../pool/steps.ts';
import type { Endpoints } from '../service/contract.ts';
import { serviceTable } from '../service/record.ts';
import { Services } from '../service/services.ts';
import { serviceExecutors } from '../service/steps.ts';
import { Stacks } from '../stack/apply.ts';
import type { StackStep } from '../stack/contract.ts';
import { type Clock, systemClock } from '../sys/clock.ts';
import { asPolykernelError } from '../sys/errors.ts';
import { checkSocketPath, layout } from '../sys/paths.ts';
import { STATE, takePlace } from '../sys/places.ts';
import { type MetricsAddress, type MetricsServer, serveMetrics } from '../telemetry/metrics-server.ts';
import { Telemetry } from '../telemetry/telemetry.ts';
import type { Topology } from '../topology/index.ts';

export interface DaemonOptions {
  /** Absolute path of the state directory; made if absent. */
  home: string;
  drivers: readonly Driver[];
  images: Images & { resolve(name: string): Promise<KernelImage> };
  defaultImage(driver: DriverName): string;
  prepareRoot(path: string, options: Pick<RootOptions, 'progress' | 'signal' | 'seen' | 'hold'>): Promise<RootSource>;
  doctor?(): Promise<DoctorCheck[]>;
  /** The machine whose CPUs and memory are given away, and what acts on its kernel. */
  host: { readTopology(): Topology; bootId: string; enforcement: PoolEnforcement; lease: PoolLease };
  /** Where instances can be reached. Default: nowhere. */
  endpoints?: Endpoints;
  clock?: Clock;
  random?: () => number;
  journal?: Journal;
  /** How often a second instances are measured, 1 to 10; default 2. */
  samplesPerSecond?: number;
  /** Where Prometheus may ask as well; default: the socket alone. */
  metricsAddress?: MetricsAddress | undefined;
  /** Version of the package. */
  version?: string;
  /** Whose kernels' processes are; default: as this user can give. */
  identities?: Identities;
  /** Whether the network of the host may be used; default: whether this is root. */
  privileged?: boolean;
  /** Rotation of workload logs. */
  logBytes?: number;
  /** Called when a client asked for the end. Default: close(). */
  onShutdown?(): void;
}

export interface Daemon {
  socket: string;
  supervisor: Supervisor;
  /** Stops serving and lets go of all kernels, which run on. */
  close(): Promise<void>;
  /** For tests: the end as SIGKILL makes it, without any farewell to store or clients. */
  drop(): Promise<void>;
}

/**
 * Starts serving <home>/daemon.sock. Rejects with `conflict` when another daemon runs for this home, `internal` when the
 * database is damaged, `permission` when the directory cannot be written.
 */
export async function createDaemon(options: DaemonOptions): Promise<Daemon> {
  const { home, clock = systemClock, journal = silentJournal, privileged = process.getuid?.() === 0 } = options;
  const paths = layout(home);
  checkSocketPath(paths.socket);
  takePlace(home, STATE);
  const store = Store.open(paths);
  const events = new EventLog(() => store.nextSequence());
  const hostPool = new HostPool({
    kept: store.value<PoolRecord>('pool', 'the record of the pool'),
    ...options.host,
    journal,
  });
  const channels = new Channels({
    directory: paths.channels,
    keepers: new Keepers(join(paths.channels, KEEPER_DIRECTORY)),
    store: store.table(channelTable),
    tenantOf: (instance) => supervisor.find(instance)?.record.spec.tenant,
    events,
    clock,
    journal,
  });
  const drivers = new Drivers(options.drivers, options.defaultImage);
  const network: Network = new Network(
    home,
    privileged,
    new Forwards(join(home, 'forwards')),
    () => supervisor.list().map(({ record }) => record),
    journal,
    ({ id, spec: { name } }) => {
      const message = `${name} is in no network any more: what kept it ended; restart ${name} to join it again`;
      journal.info(message);
      events.tell({ at: new Date(clock.now()).toISOString(), type: 'network-lost', name, id, message });
    },
  );
  const services = new Services({
    directory: paths.haproxy,
    endpoints: options.endpoints ?? network,
    store: store.table(serviceTable),
    events,
    clock,
    journal,
  });
  const telemetry: Telemetry = new Telemetry({
    path: paths.telemetry,
    instances: () => supervisor.list().map(({ status }) => status),
    channels,
    services: () => services.known(),
    requestsOf: (instance) => services.trafficOf(instance),
    events,
    clock,
    journal,
    samplesPerSecond: options.samplesPerSecond ?? 2,
  });
  const clocks = new GuestClocks(clock, journal);
  const identities = options.identities ?? (await identitiesOf(home));
  const supervisor: Supervisor<PoolRecord> = new Supervisor<PoolRecord>({
    providers: [
      endProvider(channels),
      addressProvider(network),
      partitionProvider(hostPool, () => supervisor),
      { name: 'its numbers', kernelUp: ({ id }, kernel) => telemetry.kernelUp(id, kernel) },
      {
        name: 'its clock',
        kernelUp: (_record, kernel, _regions, adopted) => clocks.kernelUp(kernel, adopted),
        resumed: (kernel) => clocks.resumed(kernel),
      },
    ],
    hostPool,
    paths,
    records: store.table(instanceTable),
    transaction: (action) => store.transaction(action),
    events,
    journal,
    clock,
    random: options.random ?? Math.random,
    drivers,
    resolveImage: (name) => options.images.resolve(name),
    prepareRoot: options.prepareRoot,
    identities,
    logBytes: options.logBytes,
  });
  const ending = new AbortController();
  const startedAt = new Date(clock.now()).toISOString();
  const mutex = new Mutex();
  const steps = new Steps<StackStep>({
    executors: {
      ...serviceExecutors(services),
      ...channelExecutors(channels),
      ...instanceExecutors(supervisor),
      ...poolExecutors(supervisor, hostPool),
    },
    table: store.table(stepTable),
    journal,
  });
  const context: ApiContext = {
    supervisor,
    resources: new Resources(supervisor, hostPool, mutex),
    stacks: new Stacks({
      instances: supervisor,
      drivers,
      hostPool,
      present: async () => ({ channels: channels.list(), services: await services.list() }),
      steps,
      mutex,
    }),
    channels,
    telemetry,
    services,
    events,
    images: options.images,
    version: () => ({ version: options.version ?? '0.0.0', apiVersion: 1, pid: process.pid, startedAt, home }),
    async doctor() {
      const [checks, facts] = await Promise.all([options.doctor?.() ?? [], drivers.facts()]);
      return { checks, drivers: facts, auto: drivers.auto(facts) };
    },
    shutdown: options.onShutdown ?? (() => void close()),
    ending: ending.signal,
    complain: (text, error) => journal.error(text, error),
  };
  const api = createApi(context);
  let endStreams = () => {};
  let metricsServer: MetricsServer | undefined;

  async function release(): Promise<void> {
    steps.close();
    ending.abort();
    metricsServer?.close();
    endStreams();
    await api.close();
  }
  let closing: Promise<void> | undefined;
  const close = () => {
    closing ??= (async () => {
      await release();
      await supervisor.detach();
      clocks.close();
      telemetry.close();
      services.close();
      channels.close();
      store.close();
      identities.close();
      rmSync(paths.socket, { force: true });
      forgetHolder(paths);
    })();
    return closing;
  };

  try {
    await api.ready();
    endStreams = serveStreams(api.server as Server, context);
    await hostPool.recover().catch((error) => journal.error('restoring the pool', error));
    await channels.recover().catch((error) => journal.error('taking up channels', error));
    await supervisor.takeUp();
    await network.recover().catch((error) => journal.error('taking up the private network', error));
    telemetry.forgetAllBut(new Set(supervisor.list().map(({ record }) => record.id)));
    await services.recover().catch((error) => journal.error('taking up services', error));
    // Kernels may have to be started for it, for which nobody else has to wait.
    void mutex.run(() => steps.recover()).catch((error) => journal.error('taking up steps', error));
    // Whoever left this socket is gone: the lock on the database is ours.
    if (existsSync(paths.socket)) rmSync(paths.socket);
    const mask = process.umask(0o177);
    try {
      await api.listen({ path: paths.socket });
    } finally {
      process.umask(mask);
    }
    chmodSync(paths.socket, 0o600);
    if (options.metricsAddress !== undefined)
      metricsServer = await serveMetrics(options.metricsAddress, () => telemetry.metrics());
  } catch (error) {
    await close();
    throw asPolykernelError(error, `serving ${paths.socket}`);
  }
  const drop = () => {
    closing ??= (async () => {
      steps.close();
      await supervisor.detach(false);
      clocks.close();
      telemetry.close(false);
      services.close();
      channels.close();
      store.close(false);
      identities.close();
      await release();
    })();
    return closing;
  };
  return { socket: paths.socket, supervisor, close, drop };
}
