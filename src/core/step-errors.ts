/** How the failures of steps are told. */
import { asPolykernelError, type ErrorCode, type ErrorDetail, PolykernelError } from '../sys/errors.ts';
import { type AnyStep, thingOf } from './step.ts';
import type { OnFailure } from './step-journal.ts';

export interface Failure {
  step: AnyStep;
  error: unknown;
}

/** Steps that failed, with what they act on as thingOf() names it. */
export class StepError extends PolykernelError {
  readonly things: readonly string[];

  constructor(code: ErrorCode, message: string, detail: ErrorDetail, things: readonly string[]) {
    super(code, message, detail);
    this.things = things;
  }
}

const GO_ON = 'What was done stays. Run the command again to go on from there.';

/** Of steps that went beside each other; `left`: how many were not begun. */
export function stepError(failed: readonly Failure[], left: number, onFailure: OnFailure): StepError {
  const errors = failed.map(({ step: { text }, error }) => ({ text, error: asPolykernelError(error, text) }));
  const { error } = errors[0]!;
  const others = errors.slice(1).map((other) => `; ${other.text}: ${other.error.message}`);
  const rest = left > 0 ? `; ${left} ${left === 1 ? 'step was' : 'steps were'} not begun` : '';
  const detail = {
    field: error.field,
    value: error.value,
    hint: error.hint ?? (onFailure === 'keep' ? GO_ON : undefined),
    cause: error,
  };
  const things = failed.map(({ step }) => thingOf(step));
  return new StepError(error.code, `${errors[0]!.text}: ${error.message}${others.join('')}${rest}`, detail, things);
}

/** The failure of a batch that is all or nothing. */
export function takenBack(cause: unknown, failed: readonly Failure[]): PolykernelError {
  const error = asPolykernelError(cause, 'carrying out steps');
  const left = failed.map(({ step }) => step.text).join(', ');
  const end =
    left === '' ? 'what was done before was taken back' : `what was done before could not be taken back: ${left}`;
  const { field, value, hint } = error;
  const things = error instanceof StepError ? error.things : [];
  return new StepError(error.code, `${error.message}; ${end}`, { field, value, hint, cause: error }, things);
}
