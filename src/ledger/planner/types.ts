/** What the planner is asked, and what it answers. */
import type { Topology } from '../../topology/topology.ts';
import type { Partition, PartitionRequest, Pool } from '../types.ts';

export interface PlacementRequest {
  name: string;
  request: PartitionRequest;
  /** What it has now; null = nothing. */
  current: Partition | null;
}

export interface PlacementInput {
  topology: Topology;
  pool: Pool;
  /** Names are unique. */
  requests: readonly PlacementRequest[];
  /** Owners that are not to be touched, by name. */
  fixed: Readonly<Record<string, Partition>>;
  /** Names of those that may lose their present place. */
  move?: ReadonlySet<string>;
}

export interface Placed {
  name: string;
  partition: Partition;
  /** The host CPU of each vCPU. */
  vcpuCpus: readonly number[];
  /** Why here, one sentence for each of CPUs, memory and devices. */
  reasons: readonly string[];
  /** Whether it stays exactly what it was. */
  kept: boolean;
}

export interface Refused {
  name: string;
  /** Where in the request: `cpus`, `cpus.numa`, `memory`, `devices.0`, ... */
  field: string;
  message: string;
  hint: string;
}

/**
 * In a result with refusals, a refused instance that has a `current` holds on to the parts that it would keep, and the rest
 * of it is treated as given up: such a plan is to be read, not to be applied.
 */
export interface PlacementResult {
  /** In the order of the requests. */
  placed: readonly Placed[];
  refused: readonly Refused[];
  /** Points; see planner/points.ts. */
  cost: number;
}
