/** A state directory of commit da68c8d: its records are understood. Kernels that run under one: test/kernel/take-over.test.ts. */
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, expect, it } from 'vitest';
import { Store } from '../../src/core/store.ts';
import { instanceTable } from '../../src/instance/record.ts';
import { serviceTable } from '../../src/service/record.ts';
import { layout } from '../../src/sys/paths.ts';
import { startDaemon, testRegistry, untilState } from '../support/harness.ts';

const FIXTURES = join(import.meta.dirname, '../fixtures');
const INSTANCES = ['created', 'parted', 'volumes', 'web', 'out', 'done', 'running'];

const homes: string[] = [];
afterEach(() => {
  for (const home of homes.splice(0)) rmSync(home, { recursive: true, force: true });
});

/** `changes` are made to what that version wrote before anyone opens it. */
function homeOf(version: string, ...changes: string[]): string {
  const home = mkdtempSync(join(tmpdir(), 'pk-unit-'));
  homes.push(home);
  const { database: path } = layout(home);
  const database = new DatabaseSync(path);
  database.exec(readFileSync(join(FIXTURES, version, 'state.sql'), 'utf8').replaceAll('@HOME@', home));
  for (const change of changes) database.exec(change);
  database.close();
  chmodSync(path, 0o600);
  return home;
}

const oldHome = (...changes: string[]) => homeOf('da68c8d', ...changes);

it('every instance is taken over, with its partition, address and channels', async () => {
  // Services need a port of this machine.
  const test = await startDaemon({ identities: await testRegistry(), home: oldHome('DELETE FROM services') });
  const { client, daemon, journal } = test;
  const all = await client.list();
  expect(all.map(({ spec }) => spec.name).sort()).toEqual([...INSTANCES].sort());
  const of = (name: string) => all.find(({ spec }) => spec.name === name)!;
  for (const name of ['created', 'parted', 'volumes', 'web', 'out']) expect(of(name).state).toBe('created');
  expect(of('done')).toMatchObject({ state: 'exited', exit: { reason: 'exit', exitCode: 7 } });
  expect(of('parted').placement).toMatchObject({ vcpuCpus: [2, 3], partition: { cpus: [2, 3] } });
  expect(of('volumes').spec.volumes).toMatchObject([
    { source: '/usr', target: '/data', readOnly: true },
    { source: '/tmp', target: '/scratch', readOnly: false },
  ]);
  expect([of('volumes').spec.user, of('web').spec.user].sort()).toEqual(['0:0', '1000:1000']);
  expect(of('web').spec).toMatchObject({ network: 'private', restart: 'on-failure:3', publish: [{ hostPort: 18080 }] });
  expect(of('out').spec).toMatchObject({ network: 'egress', tenant: 'shop' });
  expect(daemon.supervisor.ledger().pool).toMatchObject({ cpus: [2, 3, 4, 5] });
  const channels = (await client.channels()).map(({ name, from, to }) => [name, from.owner, to.owner]);
  expect(channels).toEqual([
    ['answers', 'web', 'later'],
    ['fresh', 'web', 'host'],
    ['orders', 'host', 'web'],
  ]);
  // Nothing of the fake kernel is left, as after the machine's end; by its policy it comes again. The others come when asked.
  for (const name of ['created', 'done']) await client.start(name);
  for (const name of ['created', 'running']) await untilState(test, name, 'running');
  await untilState(test, 'done', 'exited');
  expect(journal.filter((line) => /cannot be read|taking over/.test(line))).toEqual([]);
  for (const name of INSTANCES) await client.remove(name, { force: true });
  for (const [name] of channels) await client.removeChannel(name!, { force: true });
});

it('one whose name means something else by now is upgraded like any other', async () => {
  const renamed = `json_set(record, '$.spec.name', 'pool', '$.spec.hostname', 'pool')`;
  const home = oldHome(
    'DELETE FROM services',
    `UPDATE instances SET name = 'pool', record = ${renamed} WHERE name = 'created'`,
  );
  const { client } = await startDaemon({ identities: await testRegistry(), home });
  expect(await client.upgrade('pool', { command: ['stubborn'] }, () => {})).toMatchObject({ way: 'at-rest' });
  expect(await client.inspect('pool')).toMatchObject({ spec: { name: 'pool', command: ['stubborn'] } });
  await expect(client.create({ name: 'pool', command: ['true'] })).rejects.toMatchObject({ code: 'invalid' });
});

it('every service is known', () => {
  const store = Store.open(layout(oldHome()));
  const told: string[] = [];
  const [api, ...others] = store.table(serviceTable).all((_id, name) => told.push(name));
  expect(api).toMatchObject({
    name: 'api',
    port: 18_081,
    check: '/health',
    targets: [{ instance: 'web' }, { instance: 'later' }],
  });
  expect([others, told]).toEqual([[], []]);
  expect(store.nextSequence()).toBe(18);
  store.close();
});

it('a record from before stacks, channels and networks is understood as well', () => {
  const parts = ['placement', 'definition', 'networkNumber'].map((key) => `'$.${key}'`);
  const ofSpec = ['partition', 'tenant', 'stack', 'channels', 'network', 'publish'].map((key) => `'$.spec.${key}'`);
  const strip = `UPDATE instances SET record = json_remove(record, ${[...parts, ...ofSpec].join()})`;
  const store = Store.open(layout(oldHome(strip)));
  const all = store.table(instanceTable).all((_id, name, error) => {
    throw new Error(`${name}: ${error}`);
  });
  expect(all.map(({ spec }) => spec.name)).toEqual(INSTANCES);
  for (const { placement, definition, networkNumber, spec } of all) {
    const { partition, tenant, stack, channels, network, publish } = spec;
    expect({ placement, definition, networkNumber }).toEqual({
      placement: null,
      definition: null,
      networkNumber: null,
    });
    expect({ partition, tenant, stack, channels, network, publish }).toEqual({
      partition: null,
      tenant: null,
      stack: null,
      channels: [],
      network: 'none',
      publish: [],
    });
  }
  store.close();
});

it('the version before leaves alone what this one has written', () => {
  const home = oldHome();
  Store.open(layout(home)).close();
  const database = new DatabaseSync(layout(home).database);
  // da68c8d opens what says 3 and less.
  expect(database.prepare('PRAGMA user_version').get()).toEqual({ user_version: 4 });
  database.exec('PRAGMA user_version = 5');
  database.close();
  expect(() => Store.open(layout(home))).toThrow(/was written by a newer Polykernel/);
});

it('what the version before the present layout wrote is understood as it was', async () => {
  const home = homeOf('d2307a3', 'DELETE FROM services');
  const test = await startDaemon({ identities: await testRegistry(), home });
  const { client, journal } = test;
  const all = await client.list();
  const of = (name: string) => all.find(({ spec }) => spec.name === name)!;
  expect(all.map(({ spec }) => spec.name)).toEqual(['created', 'volumes', 'web', 'out', 'done', 'running']);
  expect(of('volumes').spec).toMatchObject({ user: 'daemon:daemon', cwdOptional: true });
  expect(of('web').spec).toMatchObject({ network: 'private', channels: [{ name: 'orders', side: 'recv' }] });
  expect(of('out').spec).toMatchObject({ network: 'egress', tenant: 'shop', hostname: 'gate' });
  expect(of('done')).toMatchObject({ state: 'exited', exit: { exitCode: 7 } });
  await untilState(test, 'running', 'running');
  expect((await client.channels()).map(({ name }) => name)).toEqual(['answers', 'orders']);
  expect(journal.filter((line) => /cannot be read|taking over/.test(line))).toEqual([]);
  for (const { spec } of all) await client.remove(spec.name, { force: true });
  for (const name of ['answers', 'orders']) await client.removeChannel(name, { force: true });
});
