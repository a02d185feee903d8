/** What becomes of services when HAProxy hangs or is killed, or the daemon is. */
import { once } from 'node:events';
import { readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Store } from '../../src/core/store.ts';
import { serviceTable } from '../../src/service/record.ts';
import { layout } from '../../src/sys/paths.ts';
import { eventually } from '../support/harness.ts';
import { fetchText, freePort } from '../support/http.ts';
import { backends, dial, echoes, startServices, targets, untilUp } from '../support/service-harness.ts';

test('a killed HAProxy is back at once, and that is told with what it cost', async () => {
  const daemon = await startServices();
  const port = await freePort();
  const backendPort = await echoes(daemon);
  await daemon.client.createService({ name: 'echo', port, mode: 'tcp', targets: targets(2, backendPort) });
  const { proxy } = await untilUp(daemon, 'echo', 2);
  const connections = await Promise.all([dial(port), dial(port), dial(port)]);
  expect(await daemon.client.service('echo')).toMatchObject({ inFlight: 3 });
  process.kill(proxy!.pid, 'SIGKILL');
  const again = await eventually(async () => {
    const status = await daemon.client.service('echo');
    return status.proxy !== null && status.proxy.pid !== proxy!.pid && status;
  });
  expect(again.proxy).toMatchObject({ restarts: 1, lostConnections: 3 });
  await eventually(() => connections.every(({ isOpen }) => !isOpen()));
  expect(['web1', 'web2']).toContain((await dial(port)).name);
  const told = await eventually(() => daemon.told.find((line) => line.startsWith('service-restarted echo: ')));
  expect(told).toMatch(/HAProxy had ended; 3 connections were cut; anew in \d+ ms/);
  // The counts of the one that was killed go on.
  await eventually(async () => (await daemon.client.service('echo')).requests >= 4);
});

test('outlives the daemon; the next one takes it over', async () => {
  const daemon = await startServices();
  const port = await freePort();
  const backendPort = await echoes(daemon);
  await daemon.client.createService({ name: 'echo', port, mode: 'tcp', targets: targets(2, backendPort) });
  const { proxy } = await untilUp(daemon, 'echo', 2);
  const connection = await dial(port);
  await daemon.client.service('echo');
  await daemon.crashAndRestart();
  await connection.echo('hello');
  expect(await untilUp(daemon, 'echo', 2)).toMatchObject({ proxy, requests: 1, inFlight: 1 });
  // Its end is noticed by the new one as well.
  process.kill(proxy!.pid, 'SIGKILL');
  await eventually(async () => (await daemon.client.service('echo')).proxy?.restarts === 1);
  // What nobody noted is replaced.
  rmSync(join(daemon.home, 'haproxy', 'current'));
  const other = await dial(port);
  await daemon.crashAndRestart();
  await other.echo('hello');
  await untilUp(daemon, 'echo', 2);
  expect(daemon.proxies()).toHaveLength(2);
  await daemon.client.removeService('echo');
  expect(daemon.proxies()).toEqual([]);
  expect(readdirSync(join(daemon.home, 'haproxy'))).toEqual([]);
});

test('a service can be made while HAProxy hangs, which is replaced', async () => {
  const daemon = await startServices();
  const [web1] = await backends(daemon, 1);
  const ports = [await freePort(), await freePort()] as const;
  await daemon.client.createService({ name: 'api', port: ports[0], targets: targets(1, web1!.port) });
  const { proxy } = await untilUp(daemon, 'api', 1);
  process.kill(proxy!.pid, 'SIGSTOP');
  const made = await daemon.client.createService({ name: 'other', port: ports[1], targets: targets(1, web1!.port) });
  expect(made).toMatchObject({ fault: null });
  expect(daemon.proxies()).not.toContain(proxy!.pid);
  for (const port of ports) expect(await eventually(() => fetchText(port).catch(() => undefined))).toBe('web1');
}, 60_000);

test('a removal that a crash cut short is completed', async () => {
  const daemon = await startServices();
  const port = await freePort();
  await daemon.client.createService({ name: 'api', port, targets: targets(1, 80) });
  const pids = daemon.proxies();
  expect(pids).toHaveLength(1);
  await daemon.daemon.drop();
  const store = Store.open(layout(daemon.home));
  const services = store.table(serviceTable);
  for (const record of services.all(() => {})) services.put({ ...record, removing: true });
  store.close();
  await daemon.crashAndRestart();
  expect(await daemon.client.services()).toEqual([]);
  expect(daemon.proxies()).toEqual([]);
});

test('an address that is taken while no daemon looks is reported, and had again', async () => {
  const daemon = await startServices();
  const [web1] = await backends(daemon, 1);
  const [port, otherPort] = [await freePort(), await freePort()];
  for (const [name, at] of [
    ['api', port],
    ['other', otherPort],
  ] as const)
    await daemon.client.createService({ name, port: at, targets: targets(1, web1!.port) });
  await daemon.daemon.drop();
  for (const pid of daemon.proxies()) process.kill(pid, 'SIGKILL');
  await eventually(() => daemon.proxies().length === 0);
  // A process is off the list a little before its ports are free.
  const taker = await eventually(async () => {
    const server = createServer((_request, response) => response.end('taker')).listen(port, '127.0.0.1');
    return once(server, 'listening').then(
      () => server,
      () => undefined,
    );
  });
  await daemon.crashAndRestart();
  const faulty = await daemon.client.service('api');
  expect(faulty).toMatchObject({ state: 'error', fault: expect.stringContaining(`127.0.0.1:${port}`) });
  await untilUp(daemon, 'other', 1);
  expect(await fetchText(otherPort)).toBe('web1');
  taker.close();
  await untilUp(daemon, 'api', 1);
  expect(await fetchText(port)).toBe('web1');
}, 30_000);
