/** What a stack file says, as data. */
import type { KernelDefinition } from '../instance/contract.ts';
import type { PoolRequest } from '../ledger/index.ts';
import type { Wanted } from './sections.ts';

export interface Stack extends Wanted {
  name: string;
  /** null = the file says nothing of it: the pool there is. */
  pool: PoolRequest | null;
  /** In the file's order; names are unique. */
  kernels: readonly KernelDefinition[];
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
  /** Values of the variables in it. They may be secrets: they are not shown, and kept only as parts of what the file says. */
  variables?: Readonly<Record<string, string>>;
}
