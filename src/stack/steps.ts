/** All kinds of step that a plan may have, and how a plan shows them. */
import type { InstanceStep } from '../instance/steps.ts';
import type { PoolStep } from '../pool/stack.ts';
import type { SectionStep } from './sections.ts';

export type StackStep = SectionStep | InstanceStep | PoolStep;

/** Of instances and the pool the verb alone: `create`, `assign`; else `create-channel`. */
type Word<Kind extends string> = Kind extends `${'instance' | 'pool'}.${infer Verb}`
  ? Verb
  : Kind extends `${infer Subject}.${infer Verb}`
    ? `${Verb}-${Subject}`
    : never;

/** A step as `pk plan --json` and the API show it: what it is made of is not all for everybody's eyes. */
export interface ShownStep {
  step: { do: Word<StackStep['kind']>; name?: string; pool?: unknown; kernels?: readonly string[] };
  text: string;
  /** How a person undoes it. */
  undo: string;
}

export function showStep(step: StackStep): ShownStep {
  const [subject, verb] = step.kind.split('.');
  const word = (subject === 'instance' || subject === 'pool' ? verb : `${verb}-${subject}`) as ShownStep['step']['do'];
  const data =
    step.kind === 'pool.assign'
      ? { pool: step.pool, kernels: step.kernels.map(({ name }) => name) }
      : { name: step.name };
  return { step: { do: word, ...data }, text: step.text, undo: step.byHand };
}
