/** What a stack file says, as data. */
import type { ChannelDefinition } from '../channel/contract.ts';
import type { CreateRequest } from '../instance/contract.ts';
import type { PartitionRequest, PoolRequest } from '../ledger/index.ts';
import type { ServiceRequest } from '../service/contract.ts';

export interface Stack {
  name: string;
  /** null = the file says nothing of it: the pool there is. */
  pool: PoolRequest | null;
  /** In the file's order; names are unique. */
  kernels: readonly KernelDefinition[];
  /** In the file's order; names are unique. */
  channels: readonly ChannelDefinition[];
  /** In the file's order; names are unique. Targets are kernels of the file. */
  services: readonly ServiceRequest[];
}

export interface KernelDefinition {
  name: string;
  /** Its name in the file, which replicas have in common. */
  entry: string;
  /** Everything but name, partition and tenant, as the API takes it. */
  create: Omit<CreateRequest, 'name' | 'partition' | 'tenant'>;
  /** null = it owns nothing and runs on the housekeeping CPUs. */
  partition: PartitionRequest | null;
  tenant: string | null;
}

/** Something wrong in a stack file. Lines and columns count from 1. */
export interface Problem {
  /** `kernels.web.partition.cpus`; empty for the file as a whole. */
  path: string;
  line: number;
  column: number;
  message: string;
  hint: string | undefined;
}

/** A stack file as sent: the daemon parses it itself. */
export interface StackSource {
  text: string;
  /** Its name, for messages. */
  file: string;
  /** Absolute directory that relative paths in it are below. */
  directory: string;
  /** Name of the stack where the file gives none. */
  defaultName: string;
}

/** What a stack file is read beside. */
export interface StackContext {
  /** Absolute directory that relative paths in the file are below. */
  directory: string;
  /** Name of the stack where the file gives none. */
  defaultName: string;
}
