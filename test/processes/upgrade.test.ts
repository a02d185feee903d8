/** Upgrades behind a service: a real HAProxy before local HTTP servers, which stand for the kernels of the fake driver. */
import { expect, test } from 'vitest';
import { fakeKernels, killFakeKernel } from '../../src/driver/fake/driver.ts';
import { untilState } from '../support/harness.ts';
import { freePort, load } from '../support/http.ts';
import { type ServiceDaemon, startBackend, startServices, untilUp } from '../support/service-harness.ts';

const OLD = ['sleep', 'inf'];
const NEW = ['stubborn'];
/** Longer than any test. */
const EVER = 3_600_000;

/** web behind a service, and under load; web-next can be reached once it runs. */
async function withWeb() {
  const daemon = await startServices();
  const web = await startBackend('web', '127.0.2.1');
  await startBackend('web-next', '127.0.2.2', web.port);
  daemon.endpoints.set('web', '127.0.2.1');
  daemon.endpoints.set('web-next', '127.0.2.2');
  await daemon.create({ name: 'web', command: OLD, network: 'private', stopGraceMs: 0 });
  await untilState(daemon, 'web', 'running');
  const port = await freePort();
  await daemon.client.createService({ name: 'api', port, targets: [{ instance: 'web', port: web.port }] });
  await untilUp(daemon, 'api', 1);
  const asked = load(port);
  await asked.more(10, 'web');
  return { daemon, asked };
}

const targetsOf = async ({ client }: ServiceDaemon) =>
  (await client.service('api')).targets.map(({ instance, weight, drain }) => ({ instance, weight, drain }));
const AS_BEFORE = [{ instance: 'web', weight: 100, drain: false }];

test('another kernel serves while one is upgraded, and no request fails', async () => {
  const { daemon, asked } = await withWeb();
  const said: string[] = [];
  const report = await daemon.client.upgrade('web', { command: NEW, watchMs: 100 }, (text) => said.push(text));
  expect(report).toMatchObject({ way: 'beside', why: null, isPaused: false });
  expect(said.map((text) => text.replace(/^\[(\d)\/\d\] /, '$1 '))).toEqual([
    '1 create and start web-next',
    '2 wait until web-next is well',
    '3 change service api: web-next beside web',
    '4 send what comes to api to web-next instead of web',
    '5 watch web-next for 0.1 s',
    '6 stop web and start it with another command',
    '7 wait until web is well',
    '8 send what comes to api to web instead of web-next',
    '9 watch web for 0.1 s',
  ]);
  await asked.more(10, 'web');
  await asked.stop();
  expect(asked.failures).toEqual([]);
  expect(asked.answers['web-next']).toBeGreaterThan(0);
  const [served] = report.services;
  expect(served).toMatchObject({ service: 'api', errors: 0 });
  expect(await targetsOf(daemon)).toEqual(AS_BEFORE);
  expect((await daemon.client.list()).map(({ spec }) => spec.name)).toEqual(['web']);
  expect((await daemon.client.inspect('web')).spec.command).toEqual(NEW);
});

/** As a host kills a kernel. */
async function killKernel({ client }: ServiceDaemon, name: string): Promise<void> {
  const { paths } = await client.inspect(name);
  for (const directory of fakeKernels(paths.directory)) killFakeKernel(directory);
}

async function expectAsBefore(daemon: ServiceDaemon, asked: ReturnType<typeof load>): Promise<void> {
  await asked.more(10, 'web');
  await asked.stop();
  expect(asked.failures).toEqual([]);
  expect(await targetsOf(daemon)).toEqual(AS_BEFORE);
  expect((await daemon.client.list()).map(({ spec }) => spec.name)).toEqual(['web']);
  expect(await daemon.client.inspect('web')).toMatchObject({ state: 'running', spec: { command: OLD } });
}

test('when the new one dies while it serves all is as it was, and no request fails', async () => {
  const { daemon, asked } = await withWeb();
  const upgrading = daemon.client.upgrade('web', { command: NEW, watchMs: EVER }, (line) => {
    if (line.includes('watch web-next')) void killKernel(daemon, 'web-next');
  });
  await expect(upgrading).rejects.toThrow(/web-next is exited.*taken back/);
  await expectAsBefore(daemon, asked);
});

test('when the instance itself dies as the new one, another one serves until it is as it was', async () => {
  const { daemon, asked } = await withWeb();
  const web = daemon.daemon.supervisor.get('web');
  let died = false;
  web.onChange(() => {
    if (died || web.state !== 'running' || web.record.spec.command[0] !== NEW[0]) return;
    died = true;
    void killKernel(daemon, 'web');
  });
  await expect(daemon.client.upgrade('web', { command: NEW, watchMs: 0 })).rejects.toThrow(/web is exited.*taken back/);
  expect(asked.answers['web-next']).toBeGreaterThan(0);
  await expectAsBefore(daemon, asked);
});

test('killed while another one serves, the next daemon leaves all as it was', async () => {
  const { daemon, asked } = await withWeb();
  let crash: Promise<void> | undefined;
  const upgrading = daemon.client.upgrade('web', { command: NEW, watchMs: EVER }, (line) => {
    if (line.includes('watch web-next')) crash = daemon.crashAndRestart();
  });
  await expect(upgrading).rejects.toThrow();
  await crash;
  // Waits for what the daemon takes up.
  await daemon.client.upgrade('web', { command: NEW, dryRun: true });
  await expectAsBefore(daemon, asked);
});
