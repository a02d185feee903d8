/** Services as a daemon manages them: a real HAProxy before local HTTP servers. */
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { eventually } from '../support/harness.ts';
import { fetchText, freePort, load } from '../support/http.ts';
import {
  backends,
  dial,
  echoes,
  startBackend,
  startEcho,
  startServices,
  targets,
  untilUp,
} from '../support/service-harness.ts';

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
