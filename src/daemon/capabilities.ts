/** All that a daemon can do, and which of it needs which. To add a capability: make it here, and put it into the list. */
import { balanceCapability } from '../balance/index.ts';
import { channelCapability } from '../channel/index.ts';
import { containmentCapability } from '../containment/index.ts';
import { served } from '../core/route.ts';
import { stepTable } from '../core/step-journal.ts';
import { Steps } from '../core/steps.ts';
import type { Surroundings } from '../core/surroundings.ts';
import { doctorCapability } from '../doctor/index.ts';
import { Drivers } from '../driver/drivers.ts';
import { evidenceCapability } from '../evidence/index.ts';
import { healCapability } from '../heal/index.ts';
import { healthCapability } from '../health/index.ts';
import { imageCapability } from '../image/index.ts';
import type { Instances } from '../instance/contract.ts';
import type { Identities } from '../instance/identities.ts';
import { instanceCapability } from '../instance/index.ts';
import { kerfCapability } from '../kerf/index.ts';
import { networkCapability } from '../network/index.ts';
import { poolCapability } from '../pool/index.ts';
import { serviceCapability } from '../service/index.ts';
import { type FunctionStep, sriovCapability } from '../sriov/index.ts';
import type { StackStep } from '../stack/contract.ts';
import { stackCapability } from '../stack/index.ts';
import { standbyCapability, standbyPhases } from '../standby/index.ts';
import { telemetryCapability } from '../telemetry/index.ts';
import {
  type HandOverStep,
  handOverExecutors,
  type UpgradeStep,
  upgradeCapability,
  upgradeExecutors,
} from '../upgrade/index.ts';
import { daemonApi } from './api.ts';
import type { Capability } from './capability.ts';
import type { DaemonOptions } from './options.ts';
import { peersOf } from './peers.ts';
import { daemonHandlers, type Itself } from './routes.ts';

type Parts = Pick<
  DaemonOptions,
  'drivers' | 'images' | 'prepareRoot' | 'host' | 'functions' | 'kerf' | 'endpoints' | 'logBytes' | 'doctor'
> & {
  privileged: boolean;
  identities: Identities;
  random: () => number;
  samplesPerSecond: number;
  itself: Itself;
};

export function compose(around: Surroundings, parts: Parts) {
  const itself = {
    name: 'the daemon',
    routes: served(daemonApi, daemonHandlers(parts.itself)),
    checks: async () => (await import('./checks.ts')).daemonChecks(),
  };
  const drivers = new Drivers(parts.drivers);
  const driverCapability = { name: 'drivers', checks: async () => drivers.checks(await parts.images.list()) };
  // Those who give instances something look at them, later.
  const known = (): Instances => instances.supervisor;
  const images = imageCapability(parts.images, () => instances.supervisor);
  const kerf = kerfCapability(around, parts.kerf, {
    bootId: parts.host.bootId,
    instances: known,
    leases: () => functions.functions.leases(),
  });
  const readTopology = () => kerf.withAdopted(parts.host.readTopology());
  const functions = sriovCapability(around, parts.functions, {
    instances: known,
    topology: readTopology,
    steps: () => steps,
  });
  const pool = poolCapability(
    around,
    { ...parts.host, readTopology: () => functions.withLeases(readTopology()) },
    known,
    () => steps,
  );
  const channels = channelCapability(around, known);
  const network = networkCapability(around, parts.privileged, known);
  const { phases, endpoints } = standbyPhases(around, known, parts.endpoints ?? network.network);
  const services = serviceCapability(around, endpoints);
  const telemetry = telemetryCapability(
    around,
    {
      instances: known,
      ...channels,
      ...services,
      families: () => capabilities.flatMap(({ metrics }) => metrics?.() ?? []),
    },
    parts.samplesPerSecond,
  );
  const health = healthCapability(around, {
    instances: known,
    seen: (id) => telemetry.telemetry.seen(id),
    changed: (name) => heal.healer.look(name),
  });
  const instances = instanceCapability(around, {
    ...parts,
    providers: [channels, network, pool, functions, telemetry, health].map(({ provider }) => provider),
    hostPool: pool.hostPool,
    drivers,
    restartDue: ({ name }) => heal.healer.look(name),
    resolveImage: async (name) => drivers.ownImage(name) ?? parts.images.resolve(name),
  });
  const steps = new Steps<StackStep | UpgradeStep | HandOverStep | FunctionStep>({
    executors: {
      ...{
        ...channels.executors,
        ...services.executors,
        ...instances.executors,
        ...pool.executors,
        ...functions.executors,
      },
      ...handOverExecutors(instances.supervisor),
      ...upgradeExecutors({
        ...{ ...services, instances: instances.supervisor, health: (name) => health.monitor.get(name) },
        cut: (name, connections) => upgrades.upgrader.cut(name, connections),
      }),
    },
    table: around.store.table(stepTable),
    journal: around.journal,
  });
  const heal = healCapability(around, {
    ...{ instances: known, health: health.monitor, steps: () => steps },
    peers: (name) => peersOf(name, channels.channels.list(), services.services.known()),
  });
  const standbys = standbyCapability(around, {
    ...{ instances: known, services: services.services, steps: () => steps, phases },
  });
  const evidence = evidenceCapability(around, {
    instances: known,
    health: (name) => health.monitor.get(name),
    healings: (name) => heal.log.since(Number.NEGATIVE_INFINITY, name),
    stats: () => telemetry.telemetry.stats(),
  });
  const stacks = stackCapability(around, {
    steps,
    instances: instances.supervisor,
    drivers,
    hostPool: pool.hostPool,
    leases: () => functions.functions.leases(),
    present: async () => ({ channels: channels.channels.list(), services: await services.services.list() }),
  });
  const balance = balanceCapability(around, {
    ...{ steps, instances: instances.supervisor, hostPool: pool.hostPool, services: services.services },
    stats: () => telemetry.telemetry.stats(),
  });
  const upgrades = upgradeCapability(around, {
    ...{ steps, instances: instances.supervisor, hostPool: pool.hostPool, services: services.services },
  });
  const containment = containmentCapability(around, {
    instances: known,
    health: (name) => health.monitor.get(name),
  });
  const doctor = doctorCapability({
    host: async () => parts.doctor?.() ?? [],
    drivers,
    others: () => capabilities,
  });
  /** In the order in which they are taken up. */
  const capabilities: readonly Capability[] = [
    itself,
    doctor,
    driverCapability,
    images,
    kerf,
    pool,
    functions,
    channels,
    instances,
    network,
    telemetry,
    health,
    services,
    stacks,
    upgrades,
    heal,
    standbys,
    evidence,
    balance,
    containment,
  ];
  return { capabilities, supervisor: instances.supervisor, telemetry: telemetry.telemetry, steps };
}
