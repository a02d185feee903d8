/** What instances need of those who give them something. */
import type { Capabilities, LaunchSpec, SharedRegion } from '../driver/index.ts';
import type { Pool } from '../ledger/index.ts';
import type { PolykernelError } from '../sys/errors.ts';
import type { Topology } from '../topology/index.ts';
import type { ChannelUse } from './channel-use.ts';
import type { InstanceRecord } from './record.ts';
import type { InstanceSpec } from './spec.ts';

export interface Network {
  /** A number that names its address. Throws `unavailable`, `conflict`. */
  take(spec: InstanceSpec): number;
  nameProblems(
    specs: readonly InstanceSpec[],
    isReplaced: (spec: InstanceSpec) => boolean,
  ): Map<string, PolykernelError>;
  join(record: InstanceRecord, can: Capabilities): Promise<LaunchSpec['network']>;
  leave(record: InstanceRecord): Promise<void>;
  tellNames(): void;
}

export interface ChannelEnds {
  /** Resolves with what undoes it. Rejects with `conflict`. */
  claim(instance: string, tenant: string | null, uses: readonly ChannelUse[]): Promise<() => Promise<void>>;
  /** Throws `conflict`. */
  checkOwner(instance: string, tenant: string | null, tenantOf?: (instance: string) => string | null | undefined): void;
  release(instance: string): Promise<void>;
  regionsOf(instance: string): SharedRegion[];
}

export interface PoolOfHost<P> {
  readonly pool: Pool | null;
  topology(): Topology;
  housekeepingCpus(): readonly number[] | undefined;
  /** The record to write for another pool, before adopt(). Throws `conflict`. */
  next(pool: Pool): P;
  adopt(record: P): void;
}
