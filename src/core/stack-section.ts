/**
 * What a capability adds to a stack file: a key with named things below it, how they are read, what is to happen to them,
 * and in which steps.
 */
import { texts } from './schema.ts';
import type { OptionTable } from './stack-options.ts';
import type { AnyStep } from './step.ts';
import type { Schema } from './validate.ts';
import type { Place, YamlReader } from './yaml-reader.ts';

/** Why a plan does what it does with one thing. */
export const reasons = { ...texts, description: 'One sentence each; for keep empty' } as const;

/** Why a thing of the file cannot be. */
export interface SectionRefusal {
  name: string;
  field: string;
  message: string;
  hint: string;
}

/** Of things with a name, some of which belong to a stack. */
export interface SectionQuestion<Wanted, Present> {
  stack: string;
  /** In the order of the file. */
  wanted: readonly Wanted[];
  /** All there are, of other stacks and of none too. */
  present: readonly Present[];
  /** Why those of the stack go that are not wanted. */
  gone: string;
}

/** `Kernel`: a kernel of the file. */
export interface StackSection<Kernel, Wanted, Present, Plan, S extends AnyStep> extends OptionTable {
  /** How the API tells of a plan. */
  readonly planned: Schema;
  /** Reads what stands at its key. What is wrong is told to the reader and left out. */
  read(reader: YamlReader, place: Place, kernels: readonly Kernel[]): Wanted[];
  /** Tells the reader what no single value shows. */
  check?(reader: YamlReader, wanted: readonly Wanted[], kernels: readonly Kernel[]): void;
  /** Those of the file in its order, then those that go. What cannot be is added to `refused`. */
  plan(question: SectionQuestion<Wanted, Present>, refused: SectionRefusal[]): Plan[];
  steps(plans: readonly Plan[], present: readonly Present[], stack: string): S[];
}
