/** What others see of the pool. */
import type { Free, Ledger, Pool } from '../ledger/index.ts';
import type { Topology } from '../topology/index.ts';

export type { PoolRequest } from '../ledger/index.ts';
export type { HostPool, PoolRecord } from './host-pool.ts';
export type { PoolLease } from './pool-lease.ts';
export { reservedBy } from './steps.ts';

/** The machine and who owns what of it. */
export interface MachineReport {
  topology: Topology;
  ledger: Ledger;
}

export interface PoolReport {
  pool: Pool;
  /** By owner. */
  partitions: Ledger['partitions'];
  free: Free;
  housekeepingCpus: readonly number[];
  /** CPUs of the pool as firmware names them; those that have no such id are not among them. */
  apicIds: readonly { id: number; apicId: number }[];
  /** What the host kernel really does for it now, read back; one sentence each. */
  enforced: string[];
  /** What it does not, and why. */
  notes: string[];
}
