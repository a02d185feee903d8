/** The tables of the state database: what a version must be able to read before it takes over from another. */
import { decisionTable } from '../balance/decision-log.ts';
import { channelTable } from '../channel/record.ts';
import { trialTable } from '../containment/record.ts';
import { stepTable } from '../core/step-journal.ts';
import type { Store } from '../core/store.ts';
import type { TableDefinition } from '../core/table.ts';
import { healingTable } from '../heal/log.ts';
import { instanceTable } from '../instance/record.ts';
import { serviceTable } from '../service/record.ts';
import { countTable, leaseTable } from '../sriov/record.ts';

// Each knows its own kind of record; here they are only read.
// biome-ignore lint/suspicious/noExplicitAny: no type has all of them
const TABLES: readonly TableDefinition<any>[] = [
  ...[instanceTable, channelTable, serviceTable, countTable, leaseTable],
  ...[stepTable, decisionTable, healingTable, trialTable],
];

/** Reads everything. Throws `unavailable` for what a later version wrote; returns what of the rest cannot be read, for people. */
export function unreadable(store: Store): string[] {
  const found: string[] = [];
  for (const table of TABLES) {
    store.table(table).all((_, name, error) => {
      found.push(`${name} of the table ${table.name} (${error instanceof Error ? error.message : error})`);
    });
  }
  return found;
}
