/** Services as a daemon manages them: a real HAProxy before local HTTP servers. */
import { once } from 'node:events';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { Store } from '../../src/core/store.ts';
import { serviceTable } from '../../src/service/record.ts';
import { layout } from '../../src/sys/paths.ts';
import { eventually } from '../support/harness.ts';
import { fetchText, freePort, load } from '../support/http.ts';
import { type ServiceDaemon, startBackend, startEcho, startServices } from '../support/service-harness.ts';

/** web1 to webN, each at an address of its own, all at the same port. */
async function backends(daemon: ServiceDaemon, count: number) {
  const first = await startBackend('web1', '127.0.1.1');
  const others = Array.from({ length: count - 1 }, (_, at) =>
    startBackend(`web${at + 2}`, `127.0.1.${at + 2}`, first.port),
  );
  const all = [first, ...(await Promise.all(others))];
  for (const [at, { address }] of all.entries()) daemon.endpoints.set(`web${at + 1}`, address);
  return all;
}

const targets = (count: number, port: number) =>
  Array.from({ length: count }, (_, at) => ({ instance: `web${at + 1}`, port }));

async function untilUp(daemon: ServiceDaemon, name: string, count: number) {
  return eventually(async () => {
    const status = await daemon.client.service(name);
    return status.targets.filter(({ state }) => state === 'up').length === count && status;
  });
}

test.runIf(process.getuid?.() === 0)('HAProxy is a user that nobody else is, without rights', async () => {
  const daemon = await startServices();
  const [web] = await backends(daemon, 1);
  await daemon.client.createService({ name: 'api', port: await freePort(), targets: targets(1, web!.port) });
  const { proxy } = await untilUp(daemon, 'api', 1);
  const status = readFileSync(`/proc/${proxy!.pid}/status`, 'latin1');
  const ids = Array.from({ length: 4 }, () => '2147418114').join('\t');
  expect(status).toContain(`Uid:\t${ids}\nGid:\t${ids}\n`);
  expect(status).toMatch(/^Groups:\s*$/m);
  expect(status).toMatch(/^CapEff:\s+0+$/m);
});

test('balances requests between instances, counts them and measures how long they take', async () => {
  const daemon = await startServices();
  const [web] = await backends(daemon, 3);
  const port = await freePort();
  const made = await daemon.client.createService({ name: 'api', port, targets: targets(3, web!.port) });
  expect(made).toMatchObject({ name: 'api', port, bind: '127.0.0.1', balance: 'random2', mode: 'http' });
  await untilUp(daemon, 'api', 3);
  const answers: Record<string, number> = {};
  for (let at = 0; at < 60; at++) {
    const text = await fetchText(port);
    answers[text] = (answers[text] ?? 0) + 1;
  }
  expect(Object.keys(answers).sort()).toEqual(['web1', 'web2', 'web3']);
  const status = await eventually(async () => {
    const found = await daemon.client.service('api');
    return found.latency.samples === 60 && found;
  });
  expect(status).toMatchObject({ state: 'ok', requests: 60, errors: 0, fault: null });
  for (const { instance, requests, latency } of status.targets) {
    expect(requests).toBe(answers[instance]);
    expect(latency.samples).toBe(requests);
  }
  expect(status.latency.p50).toBeGreaterThan(0);
  expect(status.latency.p99!).toBeLessThanOrEqual(status.latency.max!);
  expect(daemon.told).toContain(
    `service-created api: 127.0.0.1:${port} to web1:${web!.port}, web2:${web!.port}, web3:${web!.port}`,
  );
  await daemon.client.removeService('api');
  expect(daemon.proxies()).toEqual([]);
  await expect(fetchText(port)).rejects.toThrow();
});

test('knows latencies of many requests from one in several, and all failures', async () => {
  const daemon = await startServices();
  let asked = 0;
  const web = await startBackend('web', '127.0.1.1', 0, (_request, response) => {
    asked += 1;
    response.statusCode = asked % 500 === 0 ? 500 : 200;
    response.end();
  });
  daemon.endpoints.set('web1', web.address);
  const port = await freePort();
  const slo = { availability: 99 };
  await daemon.client.createService({ name: 'api', port, targets: targets(1, web.port), slo });
  await untilUp(daemon, 'api', 1);
  const client = connect(port, '127.0.0.1');
  onTestFinished(() => void client.destroy());
  client.resume();
  // All at once: they are answered one after the other, as fast as can be.
  client.write('GET / HTTP/1.1\r\nHost: api\r\n\r\n'.repeat(6000));
  await eventually(() => asked === 6000);
  const known = await eventually(async () => {
    const { requests, errors, latency, objectives } = await daemon.client.service('api');
    const { requests: judged, bad } = objectives[0]!.burn[0]!;
    return requests === 6000 && bad === 12 && { errors, answered: latency.samples, judged };
  });
  expect(known.errors).toBe(12);
  for (const estimate of [known.answered, known.judged]) expect(Math.abs(estimate / 6000 - 1)).toBeLessThan(0.2);
});

test('a killed backend costs no request', async () => {
  const daemon = await startServices();
  const [web1, , web3] = await backends(daemon, 3);
  const port = await freePort();
  await daemon.client.createService({ name: 'api', port, targets: targets(3, web1!.port), check: '/' });
  await untilUp(daemon, 'api', 3);
  const running = load(port);
  await running.more(20, 'web3');
  web3!.kill();
  await eventually(() => daemon.told.some((line) => line.startsWith('target-down api: web3: ')));
  expect(await daemon.client.service('api')).toMatchObject({ state: 'degraded' });
  await web3!.revive();
  await eventually(() => daemon.told.filter((line) => line === 'target-up api: web3').length === 2);
  await running.more(1, 'web3');
  await running.stop();
  expect(running.failures).toEqual([]);
});

/** A TCP connection through a service: says what came, and sends. */
async function dial(port: number) {
  const socket = connect(port, '127.0.0.1');
  let heard = '';
  let open = true;
  socket.setEncoding('utf8').on('data', (text) => {
    heard += text;
  });
  socket.on('error', () => {});
  socket.on('close', () => {
    open = false;
  });
  onTestFinished(() => void socket.destroy());
  await eventually(() => heard.includes('\n'));
  return {
    name: heard.trim(),
    isOpen: () => open,
    async echo(text: string) {
      heard = '';
      socket.write(text);
      await eventually(() => heard === text);
    },
  };
}

async function echoes(daemon: ServiceDaemon) {
  const web1 = await startEcho('web1', '127.0.1.1');
  const web2 = await startEcho('web2', '127.0.1.2', web1.port);
  daemon.endpoints.set('web1', web1.address);
  daemon.endpoints.set('web2', web2.address);
  return web1.port;
}

test('changes of targets and other services cost no connection', async () => {
  const daemon = await startServices();
  const backendPort = await echoes(daemon);
  const [port, otherPort] = [await freePort(), await freePort()];
  const { client } = daemon;
  await client.createService({ name: 'echo', port, mode: 'tcp', targets: targets(2, backendPort) });
  const { proxy } = await untilUp(daemon, 'echo', 2);
  await client.changeTarget('echo', 'web2', { weight: 0 });
  const first = await dial(port);
  expect(first.name).toBe('web1');

  const drained = await client.changeTarget('echo', 'web1', { drain: true });
  expect(drained.targets[0]).toMatchObject({
    instance: 'web1',
    drain: true,
    weight: 100,
    state: 'drained',
    inFlight: 1,
  });
  await client.changeTarget('echo', 'web2', { weight: 7 });
  const second = await dial(port);
  expect(second.name).toBe('web2');
  await first.echo('still there');
  await client.changeTarget('echo', 'web1', { drain: false, weight: 256 });
  // Another address at run time, then none.
  const moved = await startEcho('moved', '127.0.1.9', backendPort);
  daemon.endpoints.set('web2', moved.address);
  await eventually(async () => (await dial(port)).name === 'moved');
  daemon.endpoints.set('web2', null);
  await eventually(async () => (await client.service('echo')).targets[1]!.state === 'absent');
  await Promise.all([first.echo('one'), second.echo('two')]);
  expect((await client.service('echo')).proxy).toEqual(proxy);

  // Another process takes over from it, twice.
  await client.createService({ name: 'other', port: otherPort, mode: 'tcp', targets: targets(1, backendPort) });
  await untilUp(daemon, 'other', 1);
  const third = await dial(otherPort);
  await Promise.all([first.echo('three'), second.echo('four'), third.echo('five')]);
  expect(daemon.proxies()).toHaveLength(2);
  const before = await eventually(async () => {
    const status = await client.service('echo');
    return status.requests >= 3 && status;
  });
  expect(before.proxy!.pid).not.toBe(proxy!.pid);
  await client.removeService('other');
  await eventually(() => !third.isOpen());
  await Promise.all([first.echo('six'), second.echo('seven')]);
  await client.removeService('echo');
  expect(daemon.proxies()).toEqual([]);
});

test('adding and removing services under load costs no request', async () => {
  const daemon = await startServices();
  const [web1] = await backends(daemon, 2);
  const [port, otherPort] = [await freePort(), await freePort()];
  await daemon.client.createService({ name: 'api', port, targets: targets(2, web1!.port) });
  await untilUp(daemon, 'api', 2);
  const running = load(port);
  for (let round = 0; round < 3; round++) {
    await daemon.client.createService({ name: 'other', port: otherPort, targets: targets(2, web1!.port) });
    await eventually(() => fetchText(otherPort).catch(() => undefined));
    await daemon.client.removeService('other');
  }
  await running.stop();
  expect(running.failures).toEqual([]);
  const sent = running.sent();
  await eventually(async () => (await daemon.client.service('api')).latency.samples === sent);
  expect((await daemon.client.service('api')).requests).toBeGreaterThan(sent * 0.9);
});

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

test('targets need not exist', async () => {
  const daemon = await startServices();
  const port = await freePort();
  const made = await daemon.client.createService({ name: 'api', port, targets: [{ instance: 'later' }] });
  expect(made).toMatchObject({
    state: 'down',
    targets: [{ state: 'absent', reason: expect.stringContaining('does not run') }],
  });
  await expect(fetchText(port)).rejects.toThrow('status 503');
  const later = await startBackend('later', '127.0.1.1', port);
  daemon.endpoints.set('later', later.address);
  expect(await eventually(() => fetchText(port).catch(() => undefined))).toBe('later');
});

test.each([
  [{ name: 'Api' }, 'name'],
  [{ port: 0 }, 'port'],
  [{ port: 65_536 }, 'port'],
  [{ bind: 'localhost' }, 'bind'],
  [{ bind: '192.0.2.1' }, 'bind'],
  [{ targets: [] }, 'targets'],
  [{ targets: [{ instance: '../x' }] }, 'targets[0].instance'],
  [{ targets: [{ instance: 'a' }, { instance: 'a' }] }, 'targets[1].instance'],
  [{ targets: [{ instance: 'a', weight: 257 }] }, 'targets[0].weight'],
  [{ check: "/x'\n" }, 'check'],
  [{ check: '/x', mode: 'tcp' }, 'check'],
  [{ balance: 'roundrobbin' }, 'balance'],
  [{ slo: { availability: 100 } }, 'slo.availability'],
  [{ slo: { latency: { percentile: 99, milliseconds: 0 } } }, 'slo.latency.milliseconds'],
])('refuses %j', async (part, field) => {
  const daemon = await startServices();
  const request = { name: 'api', port: await freePort(), targets: [{ instance: 'web' }], ...part } as never;
  const refused = daemon.client.createService(request);
  await expect(refused).rejects.toMatchObject({ code: 'invalid', field, hint: expect.any(String) });
  expect(await daemon.client.services()).toEqual([]);
  expect(daemon.proxies()).toEqual([]);
});

test('refuses names and ports that are taken, and says by whom', async () => {
  const daemon = await startServices();
  const { client } = daemon;
  const request = { name: 'api', port: await freePort(), targets: [{ instance: 'web' }] };
  await client.createService(request);
  await expect(client.createService(request)).rejects.toMatchObject({ code: 'conflict', field: 'name', value: 'api' });
  await expect(client.createService({ ...request, name: 'b', bind: '0.0.0.0' })).rejects.toMatchObject({
    code: 'conflict',
    field: 'port',
    message: expect.stringContaining('service api'),
  });
  const { port } = await startBackend('web', '127.0.0.1');
  await expect(client.createService({ ...request, name: 'b', port })).rejects.toMatchObject({
    code: 'conflict',
    field: 'port',
    value: port,
    message: expect.stringMatching(new RegExp(`in use by .+ \\(pid ${process.pid}\\)`)),
  });
  // Another home's HAProxy does not share the port either.
  const other = await startServices();
  await expect(other.client.createService(request)).rejects.toMatchObject({
    field: 'port',
    message: expect.stringContaining('in use by haproxy (pid '),
  });
  expect(await client.services()).toHaveLength(1);
  await expect(client.service('b')).rejects.toMatchObject({ code: 'not-found', field: 'name', value: 'b' });
  await expect(client.removeService('b')).rejects.toMatchObject({ code: 'not-found' });
  await expect(client.changeTarget('api', 'x', {})).rejects.toMatchObject({ code: 'not-found', field: 'instance' });
  await expect(client.changeTarget('api', 'web', { weight: -1 })).rejects.toMatchObject({ field: 'weight' });
});

test('tells when a promise is broken and kept again', async () => {
  const daemon = await startServices();
  let broken = true;
  const web = await startBackend('web1', '127.0.1.1', 0, (_request, response) => {
    response.statusCode = broken ? 500 : 200;
    response.end();
  });
  daemon.endpoints.set('web1', web.address);
  const port = await freePort();
  const slo = { availability: 90, latency: { percentile: 50, milliseconds: 30_000 } };
  await daemon.client.createService({ name: 'api', port, targets: targets(1, web.port), slo });
  for (let at = 0; at < 5; at++) await fetchText(port).catch(() => undefined);
  await eventually(() => daemon.told.some((line) => line.startsWith('slo-lost api: availability ≥ 90 %: 5 of 5 bad')));
  const lost = await daemon.client.service('api');
  expect(lost.errors).toBe(5);
  expect(lost.objectives).toMatchObject([
    { kind: 'latency', state: 'none', attainment: null },
    { kind: 'availability', state: 'lost', attainment: 0, budget: { spent: 5, left: 0 }, burn: [{ burnRate: 10 }, {}] },
  ]);
  broken = false;
  for (let at = 0; at < 60; at++) await fetchText(port);
  await eventually(() => daemon.told.some((line) => line.startsWith('slo-regained api: ')));
  expect((await daemon.client.service('api')).objectives.map(({ state }) => state)).toEqual(['met', 'met']);
});
