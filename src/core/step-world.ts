/** Steps on a world of numbers, in which everything may fail and the process may end at any time: for tests. */
import { DatabaseSync } from 'node:sqlite';
import type { BareStep, Executor, Executors, Step } from './step.ts';
import { type StepRecord, stepTable } from './step-journal.ts';
import { Steps, type StepsOptions } from './steps.ts';
import { Table } from './table.ts';

interface SetCell extends BareStep<'cell.set'> {
  value: number;
}
interface AddCell extends BareStep<'cell.add'> {
  value: number;
}
export type CellStep = Step<SetCell, SetCell> | Step<AddCell, SetCell>;

const bare = <Kind extends CellStep['kind']>(kind: Kind, name: string, value: number) =>
  ({ kind, name, value, phase: kind === 'cell.set' ? 'assign' : 'move', text: `${name} = ${value}` }) as const;
export const step = (kind: CellStep['kind'], name: string, value: number, before: number): CellStep => ({
  ...bare(kind, name, value),
  undo: bare('cell.set', name, before),
  byHand: 'set it',
});

/** Where a step fails, or the process ends. `half`: with the cell neither as it was nor as it is to be. */
export type Fault = { name: string; at: 'check' | 'begin' | 'half' | 'end' | 'verify'; how: 'fails' | 'dies' };
const HALF = Number.NaN;

export class World {
  readonly cells = new Map<string, number>();
  readonly log: string[] = [];
  /** Each happens once. */
  faults: Fault[] = [];
  #died = Promise.withResolvers<void>();
  /** Executors never come back from there. */
  get died(): Promise<void> {
    return this.#died.promise;
  }

  executors(): Executors<CellStep> {
    const mine = this.#died;
    const executor = (afterCrash: 'finish' | 'undo'): Executor<SetCell | AddCell> => ({
      check: ({ name }) => this.#meet(mine, name, 'check'),
      run: async ({ name, value }) => {
        this.log.push(name);
        await this.#meet(mine, name, 'begin');
        this.cells.set(name, HALF);
        await this.#meet(mine, name, 'half');
        this.cells.set(name, value);
        await this.#meet(mine, name, 'end');
      },
      verify: async ({ name, value }) => {
        await this.#meet(mine, name, 'verify');
        return this.cells.get(name) === value;
      },
      afterCrash,
    });
    return { 'cell.set': executor('finish'), 'cell.add': executor('undo') };
  }

  /** Another process. */
  restart(): void {
    this.#died = Promise.withResolvers();
  }

  async #meet(mine: PromiseWithResolvers<void>, name: string, at: Fault['at']): Promise<void> {
    const index = this.faults.findIndex((fault) => fault.name === name && fault.at === at);
    if (index === -1) return;
    const [{ how }] = this.faults.splice(index, 1) as [Fault];
    if (how === 'fails') throw new Error(`${name} fails at ${at}`);
    mine.resolve();
    await new Promise(() => {});
  }
}

/** The table of steps in a store of its own, and what runners tell: of one test. */
export class CellStore implements Disposable {
  readonly #database = new DatabaseSync(':memory:');
  readonly table = new Table<StepRecord>(this.#database, stepTable);
  readonly told: string[] = [];

  kept(): StepRecord[] {
    return this.table.all(() => {});
  }

  runner(world: World, options: Partial<StepsOptions<CellStep>> = {}): Steps<CellStep> {
    const tell = (text: string) => void this.told.push(text);
    const journal = { info: tell, error: tell, close: () => {} };
    return new Steps<CellStep>({ executors: world.executors(), table: this.table, journal, ...options });
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }
}
