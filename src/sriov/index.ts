/** PCI functions for instances, as one thing that a daemon can do. */
import { served } from '../core/route.ts';
import type { Surroundings } from '../core/surroundings.ts';
import type { Instances } from '../instance/contract.ts';
import type { Topology } from '../topology/index.ts';
import { sriovApi } from './api.ts';
import { Counts, PATIENCE, type Patience } from './counts.ts';
import { functionProvider } from './give-functions.ts';
import { Leases } from './leases.ts';
import { Functions } from './manager.ts';
import { countTable, leaseTable } from './record.ts';
import { sriovHandlers } from './routes.ts';
import { noSysfs, type Sysfs } from './sysfs.ts';

/** The kernel whose functions are given away. */
export interface FunctionHost {
  sysfs: Sysfs;
  /** Takes the right to change functions of this machine. Throws `conflict` when another daemon has it. */
  take(): void;
  /** Nothing of it is this daemon's any more. */
  drop(): void;
  patience?: Patience;
}

const NOTHING = () => {};

/** `host`: undefined where nothing is given away. */
export function sriovCapability(
  { store, events, clock, journal }: Surroundings,
  host: FunctionHost | undefined,
  { instances, topology }: { instances: () => Instances; topology: () => Topology },
) {
  const { sysfs, patience = PATIENCE, take, drop } = host ?? { sysfs: noSysfs, take: NOTHING, drop: NOTHING };
  const common = { sysfs, clock, patience, takeMachine: take };
  const leases = new Leases({
    ...common,
    records: store.table(leaseTable),
    others: () => {
      const partitions = Object.entries(instances().ledger().partitions);
      return new Map([
        ...topology().pci.flatMap(({ address, hostUse }): [string, string][] =>
          hostUse === null ? [] : [[address, `the host (${hostUse})`]],
        ),
        ...partitions.flatMap(([owner, { devices }]) => devices.map((address): [string, string] => [address, owner])),
      ]);
    },
  });
  const counts = new Counts({
    ...common,
    records: store.table(countTable),
    checkUnused: (physical, virtual) => leases.checkUnused(physical, virtual),
  });
  const functions = new Functions({ sysfs, counts, leases, instances, events, clock, journal, dropMachine: drop });
  return {
    name: 'PCI functions',
    functions,
    routes: served(sriovApi, sriovHandlers(functions)),
    provider: functionProvider(functions),
    checks: async () => (await import('./checks.ts')).sriovChecks(host?.sysfs),
    recover: async () => functions.recover(),
    close: () => functions.close(),
  };
}
