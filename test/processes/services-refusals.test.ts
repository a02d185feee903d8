/** Which services there cannot be, and who says why. */
import { expect, test } from 'vitest';
import { eventually } from '../support/harness.ts';
import { fetchText, freePort } from '../support/http.ts';
import { startBackend, startServices } from '../support/service-harness.ts';

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
