/** PCI functions for instances, as one thing that a daemon can do. */
import { familiesOf } from '../core/metric.ts';
import { served } from '../core/route.ts';
import type { Steps } from '../core/steps.ts';
import type { Surroundings } from '../core/surroundings.ts';
import type { Instances } from '../instance/contract.ts';
import type { Ledger } from '../ledger/index.ts';
import type { PciFunction, Topology } from '../topology/index.ts';
import { sriovApi } from './api.ts';
import { Attachments } from './attach.ts';
import { Counts, PATIENCE, type Patience } from './counts.ts';
import { functionProvider } from './give-functions.ts';
import { Leases } from './leases.ts';
import { Functions } from './manager.ts';
import { functionMetrics } from './metrics.ts';
import { hostIp, type RunIp } from './network.ts';
import { countTable, leaseTable } from './record.ts';
import { sriovHandlers } from './routes.ts';
import { type FunctionStep, functionExecutors } from './steps.ts';
import { noSysfs, type Sysfs } from './sysfs.ts';
import { FunctionWatch } from './watch.ts';

export type { FunctionStep } from './steps.ts';

/** The kernel whose functions are given away. */
export interface FunctionHost {
  sysfs: Sysfs;
  /** Of that kernel; default: this machine's `ip`. */
  ip?: RunIp;
  /** Takes the right to change functions of this machine. Throws `conflict` when another daemon has it. */
  take(): void;
  /** Nothing of it is this daemon's any more. */
  drop(): void;
  patience?: Patience;
}

const NOTHING = () => {};

/** Who has functions without a lease. */
function ownersOf({ pci }: Topology, { pool, partitions }: Ledger): Map<string, string> {
  const owners = new Map<string, string>();
  for (const { address, hostUse } of pci) if (hostUse !== null) owners.set(address, `the host (${hostUse})`);
  for (const address of pool?.devices ?? []) owners.set(address, 'the pool');
  for (const [owner, { devices }] of Object.entries(partitions)) for (const each of devices) owners.set(each, owner);
  return owners;
}

/** `host`: undefined where nothing is given away. */
export function sriovCapability(
  { store, events, clock, journal }: Surroundings,
  host: FunctionHost | undefined,
  {
    instances,
    topology,
    steps,
  }: { instances: () => Instances; topology: () => Topology; steps: () => Pick<Steps<FunctionStep>, 'submit'> },
) {
  const { sysfs, patience = PATIENCE, take, drop } = host ?? { sysfs: noSysfs, take: NOTHING, drop: NOTHING };
  const common = { sysfs, clock, patience, takeMachine: take };
  const leases = new Leases({
    ...common,
    ip: host?.ip ?? hostIp,
    records: store.table(leaseTable),
    others: () => ownersOf(topology(), instances().ledger()),
  });
  const counts = new Counts({
    ...common,
    records: store.table(countTable),
    checkUnused: (physical, virtual) => leases.checkUnused(physical, virtual),
  });
  /** The topology in which functions that are leased are in use: no pool may have them. */
  const withLeases = (seen: Topology): Topology => {
    const leased = new Map(leases.all().map(({ address, owner }) => [address, owner]));
    if (leased.size === 0) return seen;
    for (const address of instances().ledger().pool?.devices ?? []) leased.delete(address);
    const inUse = (each: PciFunction) =>
      leased.has(each.address) ? { ...each, hostUse: `leased to ${leased.get(each.address)}` } : each;
    return { ...seen, pci: seen.pci.map(inUse) };
  };
  const functions: Functions = new Functions({
    ...{ sysfs, counts, leases, instances, events, clock, journal, dropMachine: drop },
    changed: () => watch.begin(),
  });
  const watch = new FunctionWatch({
    ...{ sysfs, clock },
    watched: () => [
      ...counts.functions,
      ...leases.all().map(({ address, physicalFunction }) => physicalFunction ?? address),
    ],
    tell: (type, address, message) => functions.tell(type, address, message),
  });
  const attachments = new Attachments({ functions, instances, steps });
  return {
    name: 'PCI functions',
    functions,
    withLeases,
    routes: served(sriovApi, sriovHandlers(functions, attachments)),
    provider: functionProvider(functions, (id, kernel) => attachments.kernelUp(id, kernel)),
    executors: functionExecutors({
      ...functions.acts,
      functionsOf: (instance) => attachments.functionsOf(instance),
    }),
    checks: async () => (await import('./checks.ts')).sriovChecks(host?.sysfs),
    metrics: () => familiesOf(functionMetrics, watch.all()),
    async recover() {
      functions.recover();
      watch.begin();
    },
    close() {
      watch.end();
      return functions.close();
    },
  };
}
