/** Services as a daemon manages them: a real HAProxy before local HTTP servers. */
import { expect, test } from 'vitest';
import { eventually } from './harness.ts';
import { fetchText, freePort, load, type ServiceDaemon, startBackend, startServices } from './service-harness.ts';

/** web1 to webN, each at an address of its own, all at the same port. */
async function backends(daemon: ServiceDaemon, count: number) {
  const first = await startBackend('web1', '127.0.1.1');
  const others = Array.from({ length: count - 1 }, (_, at) => startBackend(`web${at + 2}`, `127.0.1.${at + 2}`, first.port));
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

test('a killed backend costs no request', async () => {
  const daemon = await startServices();
  const [web1, , web3] = await backends(daemon, 3);
  const port = await freePort();
  await daemon.client.createService({ name: 'api', port, targets: targets(3, web1!.port), check: '/' });
  await untilUp(daemon, 'api', 3);
  const running = load(port);
  await eventually(() => (running.answers.web3 ?? 0) > 20);
  web3!.kill();
  await eventually(() => daemon.told.some((line) => line.startsWith('target-down api: web3: ')));
  expect(await daemon.client.service('api')).toMatchObject({ state: 'degraded' });
  await web3!.revive();
  await eventually(() => daemon.told.filter((line) => line === 'target-up api: web3').length === 2);
  const before = running.answers.web3!;
  await eventually(() => running.answers.web3! > before);
  await running.stop();
  expect(running.failures).toEqual([]);
});
