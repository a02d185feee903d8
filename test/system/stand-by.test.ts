/** What a version looks at before it takes over: a copy of the state of a daemon that serves. */
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, it, onTestFinished } from 'vitest';
import { Store } from '../../src/core/store.ts';
import { checkState } from '../../src/daemon/stand-by.ts';
import { unreadable } from '../../src/daemon/tables.ts';
import { layout } from '../../src/sys/paths.ts';
import { startDaemon } from '../support/harness.ts';

const directory = () => {
  const path = mkdtempSync(join(tmpdir(), 'pk-state-'));
  onTestFinished(() => rmSync(path, { recursive: true }));
  return path;
};

/** A copy of its database, changed. */
function changed(home: string, sql: string): string {
  const copy = directory();
  for (const part of ['state.db', 'state.db-wal']) copyFileSync(join(home, part), join(copy, part));
  const database = new DatabaseSync(join(copy, 'state.db'));
  database.exec(sql);
  database.close();
  return copy;
}

it('reads all that the daemon has written, and leaves nothing behind', async () => {
  const { home, create } = await startDaemon();
  await create({ name: 'web', command: ['sleep'] });
  const before = readdirSync(home);
  checkState(layout(home));
  expect(readdirSync(home)).toEqual(before);
  // No table may be forgotten.
  const tables = (path: string) =>
    new DatabaseSync(path).prepare("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").all();
  const fresh = directory();
  unreadable(Store.open(layout(fresh)));
  const copies = [changed(home, ''), changed(fresh, '')].map((copy) => tables(join(copy, 'state.db')));
  expect(copies[0]).toEqual(copies[1]);
});

it('a daemon that serves removes the copies of an upgrade that was killed, and nothing else', async () => {
  const test = await startDaemon();
  const before = readdirSync(test.home).sort();
  for (const name of ['state.db.before-upgrade', 'state.db.before-upgrade-wal', 'upgrade-notes', 'state.db.damaged-x'])
    writeFileSync(join(test.home, name), 'secret', { mode: 0o600 });
  mkdirSync(join(test.home, 'upgrade-aZ09xy'), { mode: 0o700 });
  writeFileSync(join(test.home, 'upgrade-aZ09xy', 'state.db'), 'secret', { mode: 0o600 });
  await test.crashAndRestart();
  expect(readdirSync(test.home).sort()).toEqual([...before, 'state.db.damaged-x', 'upgrade-notes'].sort());
});

it.each([
  ['a newer format', 'PRAGMA user_version = 99', /state.db was written by a newer Polykernel/],
  ['a newer record', 'UPDATE instances SET version = 99', /the table instances was written by a newer/],
  ['a record that cannot be read', "UPDATE instances SET record = '{}'", /cannot read web of the table instances/],
])('refuses %s, naming it', async (_, sql, words) => {
  const { home, create } = await startDaemon();
  await create({ name: 'web', command: ['sleep'] });
  expect(() => checkState(layout(changed(home, sql)))).toThrow(words);
});
