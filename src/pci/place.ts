/** Where functions are found: a machine, a snapshot of one, a dump, or a model. */
import type { Access } from './access.ts';
import type { FunctionHealth } from './health.ts';

export interface Place {
  /** Ascending. */
  addresses(): string[];
  facts(address: string): FunctionFacts;
  /** Costs no transaction but for the state of the link; absent where nobody counts. */
  health?(address: string): FunctionHealth;
  /** Throws `not-found` for a function that is not there. */
  open(address: string): Access;
}

/** What the kernel itself knows of a function; asking it costs no transaction. */
export interface FunctionFacts {
  address: string;
  vendor: number;
  device: number;
  /** 24 bits. */
  class: number;
  revision: number;
  subsystemVendor: number;
  subsystemDevice: number;
  driver: string | null;
  /** Of a virtual function: the physical one. */
  physicalFunction: string | null;
  /** The bridge that leads to it. */
  parent: string | null;
  node: number | null;
  iommuGroup: number | null;
  /** Those that exist, and at most; null of functions without SR-IOV. */
  virtualFunctions: { count: number; most: number } | null;
}
