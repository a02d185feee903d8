/** The pool, as one thing that a daemon can do. */
import { served } from '../core/route.ts';
import type { Surroundings } from '../core/surroundings.ts';
import type { Instances } from '../instance/contract.ts';
import type { Topology } from '../topology/index.ts';
import { poolApi } from './api.ts';
import type { PoolRecord } from './contract.ts';
import { partitionProvider } from './give-partition.ts';
import { HostPool, type PoolEnforcement } from './host-pool.ts';
import type { PoolLease } from './pool-lease.ts';
import { Resources, type StepsUnderWay } from './resources.ts';
import { poolHandlers } from './routes.ts';
import { poolExecutors } from './steps.ts';

/** The machine whose CPUs and memory are given away, and what acts on its kernel. */
export interface HostMachine {
  readTopology(): Topology;
  /** /proc/sys/kernel/random/boot_id. */
  bootId: string;
  enforcement: PoolEnforcement;
  lease: PoolLease;
}

export function poolCapability(
  { store, journal, mutex }: Surroundings,
  host: HostMachine,
  instances: () => Instances,
  steps: () => StepsUnderWay,
) {
  const kept = store.value<PoolRecord>('pool', 'the record of the pool');
  /** Of kernels whose memory is not the host kernel's its CPUs are not either. */
  const lent = () =>
    instances()
      .list()
      .flatMap(({ driver, record: { placement } }) =>
        placement === null || driver.traits.usesHostMemory ? [] : placement.partition.cpus,
      );
  const hostPool = new HostPool({ kept, ...host, lent, journal });
  return {
    name: 'the pool',
    hostPool,
    routes: served(poolApi, poolHandlers(new Resources({ instances, hostPool, mutex, steps }))),
    provider: partitionProvider(hostPool, instances, () => steps().underWay),
    executors: poolExecutors(instances, hostPool),
    recover: () => hostPool.recover(),
  };
}
