/** What of virtual functions is kept: how many there are to be, and whose they are. */
import type { TableDefinition } from '../core/table.ts';
import type { NetworkSettings } from './network-settings.ts';

/** Of a physical function, by its address. */
export interface CountRecord {
  id: string;
  count: number;
}

/** Of a function that was leased at least once, by its address. */
export interface LeaseRecord {
  id: string;
  /** Of a virtual function: whose, and which. */
  physicalFunction: string | null;
  index: number | null;
  /** Id and name of the instance; null = nobody's, and it was reset since it was somebody's. */
  instance: string | null;
  owner: string;
  generation: number;
  /** What the owner calls it. */
  name: string | null;
  state: 'free' | 'leased' | 'returning' | 'failed';
  reason: string | null;
  /** What its network is to be, and what it was before, once it is so; null = nobody asked. */
  network: NetworkSettings | null;
  networkBefore: NetworkSettings | null;
  /** The driver that it is given back to; null = it had none. */
  driver: string | null;
}

export const countTable: TableDefinition<CountRecord> = {
  name: 'virtual_functions',
  nameOf: ({ id }) => id,
  migrations: [],
};

export const leaseTable: TableDefinition<LeaseRecord> = {
  name: 'function_leases',
  nameOf: ({ id }) => id,
  migrations: [],
  complete: (record) => ({ name: null, network: null, networkBefore: null, ...record }),
};
