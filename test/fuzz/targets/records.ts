/** What is kept across daemons, and what tells of ids: records of tables, /etc/subuid, uid_map, what pk-cell could not map. */
import { DatabaseSync } from 'node:sqlite';
import { channelTable } from '../../../src/channel/contract.ts';
import { Table, type TableDefinition } from '../../../src/core/table.ts';
import { instanceTable } from '../../../src/instance/contract.ts';
import { parseIdMap } from '../../../src/instance/id-registry.ts';
import { parseUnmapped } from '../../../src/instance/launch.ts';
import { serviceTable } from '../../../src/service/contract.ts';
import { parseSubids } from '../../../src/sys/identity.ts';
import { parseVolume } from '../../../src/sys/volume-text.ts';
import { must, type Target } from '../target.ts';

const DEFINITIONS: readonly TableDefinition<{ id: string }>[] = [
  instanceTable,
  channelTable,
  serviceTable,
] as unknown as TableDefinition<{ id: string }>[];

interface Opened {
  table: Table<{ id: string }>;
  fill(record: string, version: number): void;
}
let opened: Opened[] | undefined;

function tables(): Opened[] {
  opened ??= DEFINITIONS.map((definition) => {
    const database = new DatabaseSync(':memory:');
    const table = new Table(database, definition);
    const put = database.prepare(
      `INSERT OR REPLACE INTO ${definition.name} (id, name, version, record) VALUES ('x', 'a', ?, ?)`,
    );
    return { table, fill: (record, version) => void put.run(version, record) };
  });
  return opened;
}

const records: Target = {
  name: 'records',
  dictionary: [
    ...['{"id":"x","spec":{"name":"a"', '"launch":null', '"slot":1', '"volumes":[]', 'null', '[]', '{}', '}'],
    ...['"from":', '"to":', '"name":"a"', '"removing":true', '"identity":', '"sources":null'],
  ],
  run(input) {
    const told: string[] = [];
    const found = tables().flatMap(({ table, fill }, index) => {
      fill(input.subarray(1).toString('utf8'), ((input[0] ?? 0) + index) % 2);
      return table.all((id) => told.push(id));
    });
    must(told.length + found.length === DEFINITIONS.length, 'each row is read or told');
    return found;
  },
};

const ids: Target = {
  name: 'id-files',
  dictionary: [
    'me:100000:65536\n',
    '0 100000 65536\n',
    'vol0 rw /a: Invalid argument\n',
    ':',
    '4294967295',
    ' ro ',
    '\n',
  ],
  run(input) {
    const text = input.toString('latin1');
    for (const { start, count } of parseSubids(text))
      must(Number.isSafeInteger(start + count), 'ids are whole numbers');
    for (const { path, reason } of parseUnmapped(text)) must(path.length <= 4096 && reason.length <= 200, 'bounded');
    return [parseSubids(text), parseIdMap(text), parseUnmapped(text), parseVolume(text)];
  },
};

export const recordTargets: readonly Target[] = [records, ids];
