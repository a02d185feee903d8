/** The tables of the state database: what a version must be able to read before it takes over from another. */
import { decisionTable } from '../balance/decision-log.ts';
import { channelTable } from '../channel/record.ts';
import { stepTable } from '../core/step-journal.ts';
import type { Store } from '../core/store.ts';
import { instanceTable } from '../instance/record.ts';
import { serviceTable } from '../service/record.ts';

/** Reads everything. Throws `unavailable` for what a later version wrote; returns what of the rest cannot be read, for people. */
export function unreadable(store: Store): string[] {
  const found: string[] = [];
  const read = (table: { all(told: (id: string, name: string, error: unknown) => void): unknown }, what: string) =>
    table.all((_, name, error) => found.push(`${what} ${name} (${error instanceof Error ? error.message : error})`));
  read(store.table(instanceTable), 'the instance');
  read(store.table(channelTable), 'the channel');
  read(store.table(serviceTable), 'the service');
  read(store.table(stepTable), 'the step');
  read(store.table(decisionTable), 'the decision');
  return found;
}
