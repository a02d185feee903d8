/** What an instance, a channel or a service takes is given back when a later step of its making or removing fails. */
import { readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, expect, test, vi } from 'vitest';
import { Table } from '../../src/core/table.ts';
import { layout } from '../../src/sys/paths.ts';
import { eventually, startDaemon, type TestDaemon, testRegistry } from '../support/harness.ts';

afterEach(() => {
  vi.restoreAllMocks();
});

const diskFull = () => {
  throw new Error('no space is left on the device');
};
const command = ['sleep', '1000'];
const FIRST_RANGE = 0x7100_0000;

/** Makes one step of a creation fail; gives what lets it pass again. */
const failures: Record<string, (test: TestDaemon) => { request?: object; heal?: () => void }> = {
  'a channel end that is another’s': () => ({
    request: {
      channels: [
        { name: 'fresh', side: 'send' },
        { name: 'theirs', side: 'send' },
      ],
    },
  }),
  'no pool': () => ({ request: { partition: { cpus: { cores: 1 }, memoryBytes: 2 ** 28 } } }),
  'no directory': ({ home }) => {
    const path = layout(home).instances;
    renameSync(path, `${path}.aside`);
    writeFileSync(path, '');
    return {
      heal: () => {
        rmSync(path);
        renameSync(`${path}.aside`, path);
      },
    };
  },
  'no room for the record': () => {
    const real = Table.prototype.put;
    vi.spyOn(Table.prototype, 'put').mockImplementation(function (this: Table<{ id: string }>, record) {
      if ('machine' in record) diskFull();
      real.call(this, record);
    });
    return { heal: () => vi.restoreAllMocks() };
  },
};

test.each(Object.entries(failures))('a creation that fails for %s leaves nothing taken', async (_, fail) => {
  const daemon = await startDaemon({ identities: await testRegistry() });
  await daemon.client.createChannel({ name: 'theirs', from: 'other', to: 'host' });
  const { request, heal } = fail(daemon);
  const wish = { name: 'a', command, start: false, channels: [{ name: 'fresh', side: 'send' as const }], ...request };
  for (let round = 0; round < 3; round++) await expect(daemon.create(wish as never)).rejects.toThrow();
  heal?.();
  expect(await daemon.client.list()).toEqual([]);
  expect((await daemon.client.channels()).map(({ name }) => name)).toEqual(['theirs']);
  expect(readdirSync(layout(daemon.home).instances)).toEqual([]);
  const { channels: _channels, ...fine } = { ...wish, partition: undefined };
  await daemon.create(fine as never);
  expect(daemon.daemon.supervisor.get('a').record.identity).toMatchObject({ start: FIRST_RANGE });
});

test('a removal whose record cannot be deleted has not happened, and can be asked for again', async () => {
  const daemon = await startDaemon({ identities: await testRegistry() });
  await daemon.create({ name: 'a', command, start: false });
  vi.spyOn(Table.prototype, 'delete').mockImplementationOnce(diskFull);
  await expect(daemon.client.remove('a')).rejects.toMatchObject({ message: expect.stringMatching(/no space/) });
  expect(await daemon.client.list()).toHaveLength(1);
  await daemon.crashAndRestart();
  await daemon.client.remove('a');
  await daemon.crashAndRestart();
  expect(await daemon.client.list()).toEqual([]);
});

test('a removal goes on to the end when one of its steps fails', async () => {
  const daemon = await startDaemon({ identities: await testRegistry() });
  await daemon.create({ name: 'a', command, start: false, channels: [{ name: 'orders', side: 'send' }] });
  // Of the channel alone: its end goes back to the host.
  vi.spyOn(Table.prototype, 'put').mockImplementationOnce(diskFull);
  await daemon.client.remove('a');
  expect(daemon.journal.join()).toMatch(/removing a: .*no space/);
  expect(readdirSync(layout(daemon.home).instances)).toEqual([]);
  await daemon.create({ name: 'a', command, start: false });
  expect(daemon.daemon.supervisor.get('a').record.identity).toMatchObject({ start: FIRST_RANGE });
});

test('one record that cannot be read hides no other, and what it describes holds no name', async () => {
  const daemon = await startDaemon();
  for (const name of ['a', 'b']) {
    await daemon.create({ name, command, start: false });
    await daemon.client.createChannel({ name, from: 'host', to: 'host' });
  }
  await daemon.daemon.drop();
  const database = new DatabaseSync(layout(daemon.home).database);
  for (const table of ['instances', 'channels']) database.exec(`UPDATE ${table} SET record = '{' WHERE name = 'a'`);
  database.exec(`INSERT INTO services (id, name, version, record) VALUES ('x', 'a', 0, '[]')`);
  database.close();
  await daemon.crashAndRestart();
  expect((await daemon.client.list()).map(({ spec }) => spec.name)).toEqual(['b']);
  expect((await daemon.client.channels()).map(({ name }) => name)).toEqual(['b']);
  expect(await daemon.client.services()).toEqual([]);
  for (const what of ['of a', 'of the channel a', 'of the service a'])
    expect(daemon.journal.join('\n')).toContain(`the record ${what} cannot be read`);
  await daemon.create({ name: 'a', command, start: false });
  await daemon.client.createChannel({ name: 'a', from: 'host', to: 'host' });
  await daemon.crashAndRestart();
  expect((await daemon.client.list()).map(({ spec }) => spec.name).sort()).toEqual(['a', 'b']);
  await eventually(async () => (await daemon.client.channels()).length === 2);
});
