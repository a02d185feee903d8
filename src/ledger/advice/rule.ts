/** What every rule of advice is made of. */
import type { Interrupt, Topology } from '../../topology/index.ts';
import type { Ledger, PartitionRequest } from '../types.ts';
import type { View } from './view.ts';

export interface AdviceInput {
  topology: Topology;
  /** As it will be after the plan. */
  ledger: Ledger;
  /** What the owners asked for, where that is known. */
  requests?: Readonly<Record<string, PartitionRequest>>;
  instances: Readonly<Record<string, InstanceFacts>>;
  /** Where interrupts may fire now; absent for a machine that is only described. */
  irqs?: readonly Interrupt[] | undefined;
}

export interface InstanceFacts {
  /** null where none is used. */
  accelerator: 'kvm' | 'tcg' | null;
  vcpus: number;
  memoryBytes: number;
  /** PCI functions that it has, besides those of its partition. */
  functions?: readonly string[];
}

/** `warning`: it will be slower, less private or less robust than it looks. `info`: good to know, and may be meant. */
export type Severity = 'info' | 'warning';

/** Advice without what follows from its id. */
export interface Finding {
  severity: Severity;
  /** Name of an instance, `pool` or `host`. */
  subject: string;
  /** What was found, with the numbers. */
  message: string;
  /** What to do, as a full sentence. */
  remedy: string;
}

/** Gives at most one finding per subject and severity. Pure. */
export type Rule = (view: View, input: AdviceInput) => readonly Finding[];
