/** What others see of virtual functions: words of what there is and whose it is. */
import type { FunctionHealth } from '../pci/health.ts';
import type { NetworkSettings } from './network-settings.ts';

export { chooseFunction, type DeviceWish, deviceWish, isVirtual, noneFree } from './choose.ts';

/** A function that can have virtual ones. */
export interface PhysicalFunction {
  address: string;
  /** Four hexadecimal digits each. */
  vendor: string;
  device: string;
  /** 24 bits. */
  class: number;
  driver: string | null;
  node: number | null;
  /** At most so many virtual functions, by the function and its driver. */
  most: number;
  /** What is to be there, now and after each start of this machine; null = what is there was made by others. */
  wanted: number | null;
  virtual: readonly VirtualFunction[];
  health: FunctionHealth;
}

export interface VirtualFunction {
  /** From 0. */
  index: number;
  address: string;
  driver: string | null;
  node: number | null;
  iommuGroup: number | null;
  lease: Lease | null;
}

/** Whose a function is. */
export interface Lease {
  /** Of the instance. */
  owner: string;
  instance: string;
  /** What the owner calls it; null = nothing. */
  name: string | null;
  /** Counts the owners that the function has had. */
  generation: number;
  /** `leased`: the owner's. `returning`: being reset. `failed`: it could not be reset, and is given to nobody. */
  state: 'leased' | 'returning' | 'failed';
  /** Why it failed. */
  reason: string | null;
}

/** One function that is leased: virtual ones among them, also those that are gone. */
export interface LeasedFunction extends Lease {
  address: string;
  physicalFunction: string | null;
}

/** One that was just leased. */
export interface AssignedFunction extends LeasedFunction {
  /** What a person should know, one sentence each. */
  warnings: readonly string[];
}

export interface AttachedFunction extends AssignedFunction {
  /** The kernel that runs has it; false: the next one gets it, for none runs. */
  running: boolean;
}

/** What became, or would become, of the network settings of a virtual function. */
export interface NetworkChange {
  address: string;
  before: NetworkSettings;
  now: NetworkSettings;
  /** `vlan=100 trust=on`; empty: it was so already. */
  change: string;
}

export interface FunctionsReport {
  physical: readonly PhysicalFunction[];
  leases: readonly LeasedFunction[];
}

/** What is to be done so that all is as wanted. */
export interface PlannedChange {
  address: string;
  now: number;
  wanted: number;
  /** For people. */
  text: string;
  /** Why it is not done by itself; null = the next start of the daemon does it. */
  obstacle: string | null;
}

/** What became of a change. */
export interface CountReport {
  address: string;
  before: number;
  now: number;
  /** What a person should know, one sentence each. */
  notes: readonly string[];
}
