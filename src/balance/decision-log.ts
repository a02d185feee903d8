/** What was decided and what became of it, for people who ask why: the last of them, kept across daemons. */
import { randomBytes } from 'node:crypto';
import type { Records, TableDefinition } from '../core/table.ts';
import type { Decision, Reason } from './types.ts';
import { because, moveText } from './why.ts';

/**
 * `observed`: it was not to be carried out. `held`: an operator's word, or the bound on moves, kept it back. `moving`: under way.
 * `kept`: done. `undone`: done, and taken back. `failed`: it could not be done, and all is as it was.
 */
export type Outcome = 'observed' | 'held' | 'moving' | 'kept' | 'undone' | 'failed';

export interface DecisionRecord {
  id: string;
  /** ISO 8601 UTC. */
  at: string;
  policy: string;
  decision: Decision;
  outcome: Outcome;
  /** Why it is not simply kept; empty otherwise. */
  note: string;
  /** Of one that is undone: for whose sake. */
  harmed?: readonly string[];
}

/** As the API tells it. */
export interface ToldDecision {
  at: string;
  policy: string;
  /** `1 CPU from batch to web`. */
  move: string;
  /** Whom it concerns, with what each had and has by it. */
  kernels: { name: string; before: number; after: number; why: string }[];
  /** What `before` and `after` are of: CPUs, bytes, or weights of a service. */
  resource: Decision['move']['kind'];
  outcome: Outcome;
  note: string;
}

export const decisionTable: TableDefinition<DecisionRecord> = {
  name: 'balance_decisions',
  nameOf: ({ id }) => id,
  migrations: [],
};

const KEPT = 1000;

export class DecisionLog {
  readonly #records: Records<DecisionRecord>;
  readonly #all: DecisionRecord[];

  constructor(records: Records<DecisionRecord>, onUnreadable: (id: string, error: unknown) => void) {
    this.#records = records;
    this.#all = records.all((id, _, error) => onUnreadable(id, error));
  }

  /** Keeps it, and lets go of the oldest. */
  add(part: Omit<DecisionRecord, 'id'>): DecisionRecord {
    const record = { id: randomBytes(8).toString('hex'), ...part };
    this.#records.put(record);
    this.#all.push(record);
    while (this.#all.length > KEPT) this.#records.delete(this.#all.shift()!.id);
    return record;
  }

  /** Whether the newest one is of the same move, and came to the same. */
  isLast({ move }: Decision, outcome: Outcome): boolean {
    const last = this.#all.at(-1);
    return last?.outcome === outcome && JSON.stringify(last.decision.move) === JSON.stringify(move);
  }

  /** What became of one. */
  close(record: DecisionRecord, outcome: Outcome, note = ''): void {
    const at = this.#all.findIndex(({ id }) => id === record.id);
    if (at === -1) return;
    this.#all[at] = { ...record, outcome, note };
    this.#records.put(this.#all[at]);
  }

  /** The oldest first; `kernel`: that concern it. */
  since(sinceMs: number, kernel?: string): ToldDecision[] {
    return this.#all
      .filter(({ at, decision }) => Date.parse(at) >= sinceMs && (kernel === undefined || concerns(decision, kernel)))
      .map(tell);
  }

  /** Whether it tells anything of one called so, who may be gone. */
  knows(kernel: string): boolean {
    return this.#all.some(({ decision }) => concerns(decision, kernel));
  }

  /** Those that were under way when an earlier daemon ended. */
  open(): readonly DecisionRecord[] {
    return this.#all.filter(({ outcome }) => outcome === 'moving');
  }

  /** What was done, by what moved and the rule that fired: for who got something, else for who gave. */
  reasons(sinceMs: number): { resource: Decision['move']['kind']; rule: Reason['rule']; count: number }[] {
    const done = this.#all.filter(({ outcome, at }) => outcome === 'kept' && Date.parse(at) >= sinceMs);
    const ofRule = ({ decision: { move, taker, giver } }: DecisionRecord) =>
      `${move.kind} ${(taker ?? giver)!.reason.rule}`;
    return [...Map.groupBy(done, ofRule).values()].map((records) => {
      const { move, taker, giver } = records[0]!.decision;
      return { resource: move.kind, rule: (taker ?? giver)!.reason.rule, count: records.length };
    });
  }

  /** In the last `spanMs`, of CPUs and memory: requests are steered as often as it takes. `kernel`: for its sake. */
  count(outcome: Outcome, spanMs: number, nowMs: number, kernel?: string): number {
    return this.#recent(outcome, spanMs, nowMs).filter(
      ({ decision }) =>
        decision.move.kind !== 'weight' &&
        (kernel === undefined || (decision.taker ?? decision.giver)?.kernel === kernel),
    ).length;
  }

  /** For whose sake moves of the last `spanMs` were taken back: the names for each. */
  harmed(spanMs: number, nowMs: number): (readonly string[])[] {
    return this.#recent('undone', spanMs, nowMs).map(({ harmed = [] }) => harmed);
  }

  /** One from the future is from before the clock was set back. */
  #recent(outcome: Outcome, spanMs: number, nowMs: number): DecisionRecord[] {
    const isRecent = (at: string) => Date.parse(at) >= nowMs - spanMs && Date.parse(at) <= nowMs;
    return this.#all.filter((each) => each.outcome === outcome && isRecent(each.at));
  }
}

const concerns = ({ giver, taker }: Decision, kernel: string): boolean =>
  giver?.kernel === kernel || taker?.kernel === kernel;

export function tell({ at, policy, decision, outcome, note }: Omit<DecisionRecord, 'id'>): ToldDecision {
  const sides = [decision.taker, decision.giver].filter((side) => side !== undefined);
  return {
    ...{ at, policy, outcome, note },
    move: moveText(decision.move),
    resource: decision.move.kind,
    kernels: sides.map(({ kernel, before, after, reason }) => ({ name: kernel, before, after, why: because(reason) })),
  };
}
