/** What the daemon answers is what its contracts say, all of it. */
import { expect, it } from 'vitest';
import { CONTRACTS } from '../../src/client/contracts.ts';
import { json } from '../../src/client/http.ts';
import type { Api, Route } from '../../src/core/route.ts';
import { validate } from '../../src/core/validate.ts';
import { eventually, startDaemon, untilState } from '../support/harness.ts';
import { freePort } from '../support/http.ts';
import { startServices } from '../support/service-harness.ts';

const ROUTES = new Map<string, Route>(CONTRACTS.flatMap(({ routes }: Api) => Object.entries(routes)));

/** `answer` is as the contract of that method says, and has nothing that it does not say. */
function expectDescribed(method: string, answer: unknown): void {
  const { answer: schema, list } = ROUTES.get(method)!;
  const each = list === undefined ? schema! : { type: 'array' as const, items: schema! };
  expect(validate(each, answer, { name: method }), method).toEqual(answer);
}

const STACK = {
  file: 'test.yaml',
  directory: '/tmp',
  defaultName: 'shop',
  text: `
pool: {cpus: 2-7, shared: 7, memory: 2GiB}
kernels:
  web: {driver: fake, command: [sleep, inf], partition: {cpus: 2, memory: 512MiB}, environment: {MODE: a}}
  job: {driver: fake, command: [sleep, inf], partition: {cpus: {shared: 0.5}, memory: 128MiB}, restart: on-failure}
channels:
  orders: {from: web, to: job, size: 8KiB}
`,
};

it('of the machine, its pool and a stack', async () => {
  const { client } = await startDaemon();
  expectDescribed('topology', await client.topology());
  expectDescribed('machine', await client.machine());
  expectDescribed('plan', await client.plan(STACK));
  expectDescribed('apply', await client.apply(STACK));
  expectDescribed('plan', await client.plan({ ...STACK, text: STACK.text.replace('MODE: a', 'MODE: b') }));
  expectDescribed('plan', await client.plan({ ...STACK, text: STACK.text.replace('cpus: 2,', 'cpus: 64,') }));
  expectDescribed('machine', await client.machine());
  expectDescribed('pool', await client.pool());
  expectDescribed('list', await client.list());
  expectDescribed('inspect', await client.inspect('web'));
  expectDescribed('channels', await client.channels());
  expectDescribed('destroy', await client.destroy('shop'));
});

it('of instances and their numbers', async () => {
  const test = await startDaemon({
    doctor: async () => [{ id: 'kvm', status: 'missing', summary: 'none', hint: 'Get it.' }],
  });
  const { client } = test;
  expectDescribed('version', await client.version());
  expectDescribed('doctor', await client.doctor());
  expectDescribed('images', await client.images());
  expectDescribed('prewarm', await client.prewarm({ driver: 'fake' }));
  expectDescribed(
    'create',
    await test.create({
      name: 'web',
      command: ['sleep', 'inf'],
      volumes: [{ source: '/tmp', target: '/data' }],
      channels: [{ name: 'orders', side: 'recv' }],
    }),
  );
  expectDescribed('inspect', await untilState(test, 'web', 'running'));
  const stats = await eventually(async () => {
    const all = await client.stats();
    const [web] = all;
    return web!.guest !== null && web!.host !== null && all;
  });
  expectDescribed('stats', stats);
  expectDescribed('statsSeries', await client.statsSeries('web'));
  expectDescribed('stop', await client.stop('web', { graceMs: 0 }));
  const { value: event } = await client.events({ since: 0 }).next();
  expectDescribed('events', event);
  await test.create({ name: 'one', command: ['echo', 'hello'] });
  expectDescribed('wait', await client.wait('one'));
  const { value: line } = await client.logs('one').next();
  expectDescribed('logs', line);
});

it('of services, which keep their names', async () => {
  const { client } = await startServices();
  const request = { name: 'api', port: await freePort(), targets: [{ instance: 'web' }], slo: { availability: 99.9 } };
  expectDescribed('createService', await client.createService(request));
  expectDescribed('replaceService', await client.replaceService({ ...request, check: '/health' }));
  expectDescribed('changeTarget', await client.changeTarget('api', 'web', { drain: true }));
  expectDescribed('services', await client.services());
  const renamed = json(client.socketPath, {
    method: 'PUT',
    path: '/v1/services/api',
    body: { ...request, name: 'web' },
  });
  await expect(renamed).rejects.toMatchObject({ code: 'invalid', field: 'name', value: 'web' });
  expect((await client.services()).map(({ name }) => name)).toEqual(['api']);
});
