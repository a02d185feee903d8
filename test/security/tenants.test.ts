/** Who meets whom, as far as it is decided before a kernel runs: through a whole daemon, on the fake driver. */
import { describe, expect, it } from 'vitest';
import type { StackSource } from '../../src/stack/contract.ts';
import { parse } from '../../src/stack/testing.ts';
import { startDaemon } from '../support/harness.ts';

const stack = (text: string): StackSource => ({ text, file: 'test.yaml', directory: '/tmp', defaultName: 'shop' });
const command = ['sleep', 'inf'];

describe('a channel', () => {
  it('between two tenants is refused, whichever end comes last; the host may be at any', async () => {
    const test = await startDaemon();
    const { client } = test;
    await test.create({ name: 'web', command, tenant: 'acme' });
    await test.create({ name: 'db', command, tenant: 'acme' });
    await test.create({ name: 'other', command });
    expect((await client.inspect('web')).spec.tenant).toBe('acme');
    await client.createChannel({ name: 'inner', from: 'web', to: 'db' });
    await client.createChannel({ name: 'outward', from: 'web' });
    await expect(client.createChannel({ name: 'leak', from: 'web', to: 'other' })).rejects.toMatchObject({
      code: 'conflict',
      field: 'to',
      message: expect.stringContaining('web (acme) and other (no tenant)'),
    });
    await client.createChannel({ name: 'early', from: 'web', to: 'late' });
    const late = { name: 'late', command };
    const refused = { code: 'conflict', field: 'tenant', message: expect.stringContaining('early') };
    await expect(test.create(late)).rejects.toMatchObject(refused);
    await expect(test.create({ ...late, tenant: 'emca' })).rejects.toMatchObject(refused);
    const claims = { name: 'thief', command, channels: [{ name: 'outward', side: 'recv' as const }] };
    await expect(test.create(claims)).rejects.toMatchObject({ code: 'conflict', field: 'tenant' });
    // What it had claimed is the host's again.
    expect((await client.channel('outward')).to.owner).toBe('host');
    await test.create({ ...late, tenant: 'acme' });
  });

  it('of a stack file may not join two tenants', () => {
    const text = (tenant: string) => `
kernels:
  web: {command: x, tenant: acme}
  db: {command: x${tenant}}
channels:
  queries: {from: web, to: db}
`;
    expect(parse(text(', tenant: acme')).problems).toEqual([]);
    for (const tenant of ['', ', tenant: emca'])
      expect(parse(text(tenant)).problems).toEqual([
        expect.objectContaining({ line: 6, path: 'channels.queries.to', message: 'db is of another tenant than web' }),
      ]);
  });
});

it('a stack whose names would lead to two addresses is refused as a whole', async () => {
  const test = await startDaemon();
  const kernel = (more: string) => `{driver: fake, command: x, network: private${more}}`;
  const plan = async (...kernels: string[]) => {
    const { refused } = await test.client.plan(stack(`kernels:\n${kernels.map((each) => `  ${each}\n`).join('')}`));
    return refused.map(({ name, field }) => [name, field]);
  };
  const web = `web: ${kernel('')}`;
  expect(await plan(web, `db: ${kernel(', hostname: db.example')}`)).toEqual([]);
  expect(await plan(web, `db: ${kernel(', hostname: WEB')}`)).toEqual([
    ['web', 'name'],
    ['db', 'hostname'],
  ]);
  expect(await plan(web, `db: ${kernel(', hostname: localhost')}`)).toEqual([['db', 'hostname']]);
  expect(await plan(web, `db: ${kernel(', hostname: web, tenant: acme')}`)).toEqual([]);
  await test.create({ name: 'alone', command, network: 'private', hostname: 'web' });
  expect(await plan(web)).toEqual([['web', 'name']]);
  await expect(test.create({ name: 'x', command, network: 'private', hostname: 'alone' })).rejects.toMatchObject({
    code: 'conflict',
    field: 'hostname',
  });
});
