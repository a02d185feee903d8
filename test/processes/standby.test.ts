/** Standbys behind a service: a real HAProxy before local HTTP servers, which stand for the kernels of the fake driver. */
import { expect, test } from 'vitest';
import { fakeGuest, fakeKernels, killFakeKernel } from '../../src/driver/fake/driver.ts';
import type { CreateRequest } from '../../src/instance/contract.ts';
import { PolykernelError } from '../../src/sys/errors.ts';
import { untilState } from '../support/harness.ts';
import { fetchText, freePort, load } from '../support/http.ts';
import { until } from '../support/pk.ts';
import { type ServiceDaemon, startBackend, startServices, untilUp } from '../support/service-harness.ts';

async function withWeb(more: Partial<CreateRequest> = {}) {
  const daemon = await startServices();
  const web = await startBackend('web', '127.0.2.1');
  await startBackend('web-standby', '127.0.2.2', web.port);
  daemon.endpoints.set('web', '127.0.2.1');
  daemon.endpoints.set('web-standby', '127.0.2.2');
  const request = {
    name: 'web',
    command: ['sleep', 'inf'],
    network: 'private',
    standby: true,
    stopGraceMs: 0,
  } as const;
  await daemon.create({ ...request, command: ['sleep', 'inf'], ...more });
  await untilState(daemon, 'web', 'running');
  const port = await freePort();
  await daemon.client.createService({ name: 'api', port, targets: [{ instance: 'web', port: web.port }] });
  await untilUp(daemon, 'api', 1);
  await until('it waits', () => daemon.told.some((text) => text === 'standby-ready web: web-standby'));
  return { daemon, web, port };
}

/** As a host kills a kernel, whose programs go with it. */
async function lose(daemon: ServiceDaemon, web: { kill(): void }): Promise<void> {
  const { paths } = await daemon.client.inspect('web');
  web.kill();
  daemon.endpoints.set('web', null);
  for (const directory of fakeKernels(paths.directory)) killFakeKernel(directory);
}

const standIn = async ({ client }: ServiceDaemon) => (await client.service('api')).targets[0]!.standIn;
const stateOf = async ({ client }: ServiceDaemon, name: string) => (await client.inspect(name)).state;

test('it waits frozen, serves in the place of one that is lost, and rests when that serves again', async () => {
  const { daemon, web, port } = await withWeb({ heal: 'lost' });
  expect(await stateOf(daemon, 'web-standby')).toBe('paused');
  expect(await fetchText(port)).toBe('web');
  await lose(daemon, web);
  await until('it serves', async () => (await fetchText(port).catch(() => '')) === 'web-standby');
  expect((await daemon.client.service('api')).targets).toMatchObject([
    { instance: 'web', state: 'up', isItself: false, standIn: { instance: 'web-standby', serves: true } },
  ]);
  expect(daemon.told).toContain('standby-serves web: web-standby');
  await untilState(daemon, 'web', 'running');
  const asked = load(port);
  await web.revive();
  daemon.endpoints.set('web', '127.0.2.1');
  await until('it rests', () => daemon.told.includes('standby-rests web: web-standby'));
  await asked.more(10, 'web');
  await asked.stop();
  expect(asked.failures).toEqual([]);
  expect(await stateOf(daemon, 'web-standby')).toBe('paused');
  expect(await standIn(daemon)).toMatchObject({ serves: false });
});

test('one that does not go on when it is to serve is ended, and another serves', async () => {
  const { daemon, web, port } = await withWeb();
  const { id, paths } = await daemon.client.inspect('web-standby');
  const [directory] = fakeKernels(paths.directory);
  fakeGuest(directory!)!.resume = () => {
    throw new PolykernelError('internal', 'the machine does not go on');
  };
  await lose(daemon, web);
  await until('it serves', async () => (await fetchText(port).catch(() => '')) === 'web-standby');
  expect(daemon.told).toContain('standby-failed web: the machine does not go on');
  expect(await daemon.client.inspect('web-standby')).toMatchObject({ id, state: 'running' });
});

test('the next daemon goes on with it', async () => {
  const { daemon, web, port } = await withWeb();
  await daemon.crashAndRestart();
  await lose(daemon, web);
  await until('it serves', async () => (await fetchText(port).catch(() => '')) === 'web-standby');
  await daemon.crashAndRestart();
  await until('it serves', async () => (await fetchText(port).catch(() => '')) === 'web-standby');
  expect(await stateOf(daemon, 'web-standby')).toBe('running');
});

test('it goes with the one that it stands by for, and with the service', async () => {
  const { daemon } = await withWeb();
  const isGone = async () => !(await daemon.client.list()).some(({ spec }) => spec.name === 'web-standby');
  await daemon.client.removeService('api');
  await until('it is gone', isGone);
  const port = await freePort();
  await daemon.client.createService({ name: 'api', port, targets: [{ instance: 'web' }] });
  await until('there is another one', async () => !(await isGone()));
  await daemon.client.remove('web', { force: true });
  await until('it is gone', isGone);
});

test('it is one of what runs after an upgrade, and none for itself is upgraded', async () => {
  const { daemon } = await withWeb();
  const idOf = async () =>
    (await daemon.client.list()).find(({ spec, state }) => spec.name === 'web-standby' && state === 'paused')?.id;
  const before = await idOf();
  await expect(daemon.client.upgrade('web-standby', { command: ['stubborn'] })).rejects.toMatchObject({
    code: 'unsupported',
  });
  await startBackend('web-next', '127.0.2.3', (await daemon.client.service('api')).targets[0]!.port);
  daemon.endpoints.set('web-next', '127.0.2.3');
  await daemon.client.upgrade('web', { command: ['stubborn'], watchMs: 0 });
  await until('there is another one', async () => ![undefined, before].includes(await idOf()));
  expect((await daemon.client.inspect('web-standby')).spec.command).toEqual(['stubborn']);
});

test('of the pool it owns memory alone, and CPUs while it serves', async () => {
  const daemon = await startServices();
  await daemon.client.initPool({ cpus: [2, 3], sharedCpus: [], memory: { kind: 'size', bytes: 2 ** 30 }, devices: [] });
  const web = await startBackend('web', '127.0.2.1');
  await startBackend('web-standby', '127.0.2.2', web.port);
  daemon.endpoints.set('web', '127.0.2.1');
  daemon.endpoints.set('web-standby', '127.0.2.2');
  const partition = {
    cpus: { kind: 'exact', cpus: [2] },
    memory: { kind: 'size', bytes: 2 ** 28, node: null, hugePageBytes: null },
    devices: [],
  } as const;
  const request = { name: 'web', network: 'private', standby: true, heal: 'lost' } as const;
  await daemon.create({ ...request, command: ['sleep', 'inf'], partition: partition as never });
  const port = await freePort();
  await daemon.client.createService({ name: 'api', port, targets: [{ instance: 'web', port: web.port }] });
  await until('it waits', () => daemon.told.includes('standby-ready web: web-standby'));
  const owned = async () => {
    const { partitions } = (await daemon.client.machine()).ledger;
    return Object.entries(partitions).map(
      ([name, { cpus, memory }]) => `${name} ${cpus} ${memory[0]!.bytes / 2 ** 20}`,
    );
  };
  expect((await owned()).sort()).toEqual(['web 2 256', 'web-standby  256']);
  await lose(daemon, web);
  await until('it has its CPUs', async () => (await owned()).includes('web-standby 2 256'));
  await untilState(daemon, 'web', 'running');
  expect((await daemon.client.inspect('web')).real?.vcpus).not.toEqual([[2]]);
  await web.revive();
  daemon.endpoints.set('web', '127.0.2.1');
  await until('it rests', () => daemon.told.includes('standby-rests web: web-standby'));
  expect((await owned()).sort()).toEqual(['web 2 256', 'web-standby  256']);
  // Also where it goes while it serves.
  await lose(daemon, web);
  await until('it has its CPUs', async () => (await owned()).includes('web-standby 2 256'));
  await daemon.client.removeService('api');
  await until('it is gone', async () => (await owned()).join() === 'web 2 256');
});
