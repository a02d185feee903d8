/** Sizes and moves: what is asked of them, and what is told. */
import type { Size } from '../instance/contract.ts';

/** Another size for one kernel; what is left out stays. */
export interface SizeRequest {
  cpus?: number;
  memoryBytes?: number;
  /** Say what would be done, and do nothing. */
  dryRun?: boolean;
}

export interface MoveRequest {
  resource: 'cpu' | 'memory';
  /** Name of an instance, or `pool` for what nobody owns. */
  from: string;
  to: string;
  /** CPUs, or bytes in whole MiB. */
  amount: number;
  dryRun?: boolean;
}

export interface MoveReport {
  /** In the order in which they were planned. */
  steps: { text: string; undo: string }[];
  sizes: { name: string; before: Size; after: Size }[];
}
