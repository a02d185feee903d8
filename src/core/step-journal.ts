/** What is kept of steps from before they are begun until their batch is over, so that what a crash cuts off is known. */
import { randomBytes } from 'node:crypto';
import type { AnyStep } from './step.ts';
import type { Table, TableDefinition } from './table.ts';

/** Whether what was done stays, or is taken back, when a step of its batch fails. */
export type OnFailure = 'keep' | 'undo';

export interface StepRecord {
  /** BATCH.NUMBER */
  id: string;
  batch: string;
  /** Counts from 1 within the batch, in the order in which they were begun. */
  number: number;
  state: 'begun' | 'done';
  onFailure: OnFailure;
  step: AnyStep;
}

export const stepTable: TableDefinition<StepRecord> = { name: 'steps', nameOf: ({ id }) => id, migrations: [] };

export type StepTable = Pick<Table<StepRecord>, 'all' | 'change'>;

/** The journal of one batch. What is written at once is in one transaction. */
export class BatchJournal {
  readonly #table: StepTable;
  readonly #batch: string;
  readonly onFailure: OnFailure;
  #records: StepRecord[] = [];

  constructor(table: StepTable, onFailure: OnFailure) {
    this.#table = table;
    this.#batch = randomBytes(8).toString('hex');
    this.onFailure = onFailure;
  }

  /** All that were begun, with those that are done. */
  get steps(): AnyStep[] {
    return this.#records.map(({ step }) => step);
  }

  /** Those before are done, and these are about to be begun. Throws `internal` when it cannot be written. */
  begin(steps: readonly AnyStep[]): void {
    const before = this.#records.flatMap((record) =>
      record.state === 'done' ? [] : [{ ...record, state: 'done' as const }],
    );
    const begun = steps.map((step, index): StepRecord => {
      const number = this.#records.length + index + 1;
      const id = `${this.#batch}.${number}`;
      return { id, batch: this.#batch, number, state: 'begun', onFailure: this.onFailure, step };
    });
    this.#table.change([...before, ...begun]);
    this.#records = [...this.#records.map((record) => ({ ...record, state: 'done' as const })), ...begun];
  }

  /** Nothing is under way any more. Throws `internal` when it cannot be written. */
  end(): void {
    if (this.#records.length > 0)
      this.#table.change(
        [],
        this.#records.map(({ id }) => id),
      );
    this.#records = [];
  }
}
