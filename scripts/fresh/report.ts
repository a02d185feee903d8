/** What came of each step. */
import { table } from '../../src/cli/kit/table.ts';
import type { Step, User } from './options.ts';

export interface Outcome {
  system: string;
  as: User;
  step: Step;
  seconds: number;
  /** Null: it passed. */
  failure: string | null;
  /** What its output says of itself. */
  note: string;
}

export function summary(outcomes: readonly Outcome[]): string {
  const rows = outcomes.map(({ system, as, step, seconds, failure, note }) => [
    system,
    as,
    step,
    failure === null ? 'passed' : `FAILED: ${failure}`,
    `${seconds.toFixed(1)} s`,
    note,
  ]);
  return table(['SYSTEM', 'AS', 'STEP', 'RESULT', 'TOOK', 'NOTE'], rows, ['TOOK']);
}

/** Of a step's output: how set-up ended, and what tests counted. */
export function noteOf(lines: readonly string[]): string {
  const notes = lines.flatMap((line) => {
    const found = /^setup: (ready .*|everything is in place)$/.exec(line) ?? /^ *Tests +(.*\d.*)$/.exec(line);
    return found === null ? [] : [found[1]!];
  });
  return notes.join('; ');
}
