/** What was healed and what became of it: the last ones, kept across daemons. */
import { randomBytes } from 'node:crypto';
import type { Records, TableDefinition } from '../core/table.ts';
import type { Healing, HealOutcome } from './types.ts';

export interface HealingRecord extends Healing {
  id: string;
  /** Id of the instance. */
  instance: string;
}

export const healingTable: TableDefinition<HealingRecord> = {
  name: 'healings',
  nameOf: ({ id }) => id,
  migrations: [],
};

/** Of all, and of one instance. */
const KEPT = 1000;
const KEPT_EACH = 100;
const CLOSED: ReadonlySet<HealOutcome> = new Set(['healed', 'failed', 'given-up', 'over']);

/** INVARIANT: of an instance at most one, its newest, is open. */
export class HealingLog {
  readonly #records: Records<HealingRecord>;
  #all: HealingRecord[];

  constructor(records: Records<HealingRecord>, onUnreadable: (id: string, error: unknown) => void) {
    this.#records = records;
    this.#all = records.all((id, _, error) => onUnreadable(id, error));
  }

  /** Lets go of the oldest. Throws `internal` when it cannot be written. */
  add(part: Omit<HealingRecord, 'id'>): void {
    const record = { id: randomBytes(8).toString('hex'), ...part };
    this.#records.put(record);
    this.#all.push(record);
    const own = this.#all.filter(({ instance }) => instance === part.instance);
    const gone = own.length > KEPT_EACH ? own[0] : this.#all.length > KEPT ? this.#all[0] : undefined;
    if (gone === undefined) return;
    this.#records.delete(gone.id);
    this.#all = this.#all.filter(({ id }) => id !== gone.id);
  }

  /** The one of an instance that is not over. */
  open(instance: string): HealingRecord | undefined {
    const last = this.last(instance);
    return last === undefined || CLOSED.has(last.outcome) ? undefined : last;
  }

  last(instance: string): HealingRecord | undefined {
    return this.#all.findLast((record) => record.instance === instance);
  }

  /** What became of the open one, if there is one. Throws `internal`. */
  change(instance: string, part: Partial<Pick<Healing, 'outcome' | 'note' | 'tookMs'>>): HealingRecord | undefined {
    const open = this.open(instance);
    if (open === undefined) return undefined;
    const record = { ...open, ...part };
    if (JSON.stringify(record) === JSON.stringify(open)) return record;
    this.#all = this.#all.map((each) => (each.id === open.id ? record : each));
    this.#records.put(record);
    return record;
  }

  /** All that are not over. */
  allOpen(): HealingRecord[] {
    return this.#all.filter(({ instance, id }) => this.open(instance)?.id === id);
  }

  /** Whether it tells anything of one called so, who may be gone. */
  knows(name: string): boolean {
    return this.#all.some((record) => record.name === name);
  }

  /** The oldest first. */
  since(sinceMs: number, name?: string): Healing[] {
    return this.#all
      .filter((record) => Date.parse(record.at) >= sinceMs && (name === undefined || record.name === name))
      .map(tell);
  }
}

export const tell = ({ id: _, instance: __, ...healing }: HealingRecord): Healing => healing;
