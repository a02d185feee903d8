/** The routes of channels and their client, on a manager that only remembers; and what an instance says it uses. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ChannelManager } from '../../src/channel/contract.ts';
import { Client } from '../../src/client/index.ts';
import { apiOf } from '../support/api.ts';
import { fakeChannels } from '../support/channels.ts';
import { startDaemon } from '../support/harness.ts';

describe('the routes', () => {
  let channels: ChannelManager;
  let client: Client;
  let close: () => Promise<void>;

  beforeEach(async () => {
    channels = fakeChannels();
    const directory = mkdtempSync(join(tmpdir(), 'pk-unit-'));
    const server = apiOf({ channels });
    const socket = join(directory, 'socket');
    await server.listen({ path: socket });
    client = new Client(socket);
    close = async () => {
      await server.close();
      rmSync(directory, { recursive: true });
    };
  });
  afterEach(() => close());

  it('create, list, show and remove', async () => {
    const made = await client.createChannel({ name: 'orders', to: 'web', sizeBytes: 8192 });
    expect(made).toMatchObject({ name: 'orders', sizeBytes: 8192, from: { owner: 'host' }, to: { owner: 'web' } });
    await client.createChannel({ name: 'answers', from: 'web' });
    expect((await client.channels()).map(({ name }) => name)).toEqual(['answers', 'orders']);
    expect(await client.channel('orders')).toEqual(made);
    await client.removeChannel('orders');
    await expect(client.channel('orders')).rejects.toMatchObject({ code: 'not-found', field: 'name', value: 'orders' });
    await expect(client.removeChannel('orders')).rejects.toMatchObject({ code: 'not-found' });
  });

  it('remove one that is in use only by force', async () => {
    const made = await client.createChannel({ name: 'orders' });
    channels.get(made.name).from.state = 'open';
    await expect(client.removeChannel('orders')).rejects.toMatchObject({ code: 'conflict' });
    await expect(client.removeChannel('orders', { force: false })).rejects.toMatchObject({ code: 'conflict' });
    await client.removeChannel('orders', { force: true });
    expect(await client.channels()).toEqual([]);
  });

  it('pass the conflict of a name that is taken', async () => {
    await client.createChannel({ name: 'orders' });
    await expect(client.createChannel({ name: 'orders' })).rejects.toMatchObject({ code: 'conflict' });
  });

  it.each([
    [{}, 'name'],
    [{ name: 'x', sizeBytes: 1 }, 'sizeBytes'],
    [{ name: 'x', sizeBytes: 2 ** 31 }, 'sizeBytes'],
    [{ name: 'x', from: 1 }, 'from'],
    [{ name: 'x', to: 'x'.repeat(64) }, 'to'],
    [{ name: 'x', size: 4096 }, 'size'],
  ])('refuse %j, naming the field', async (request, field) => {
    await expect(client.createChannel(request as { name: string })).rejects.toMatchObject({ code: 'invalid', field });
    expect(channels.list()).toEqual([]);
  });
});

describe('an instance', () => {
  const command = ['true'];

  it('keeps the channels it uses, also over a restart of the daemon', async () => {
    const test = await startDaemon();
    const uses = [
      { name: 'orders', side: 'recv' as const },
      { name: 'answers', side: 'send' as const },
    ];
    await test.create({ name: 'web', command: ['sleep'], channels: uses });
    await test.create({ name: 'plain', command: ['sleep'] });
    expect((await test.client.inspect('web')).spec.channels).toEqual(uses);
    await test.crashAndRestart();
    expect((await test.client.inspect('web')).spec.channels).toEqual(uses);
    expect((await test.client.inspect('plain')).spec.channels).toEqual([]);
  });

  it.each([
    [[{ name: 'Orders', side: 'recv' }], 'channels[0].name', /not a valid name/],
    [[{ name: 'orders', side: 'both' }], 'channels[0].side', /side/],
    [[{ name: 'orders' }], 'channels[0].side', /side/],
    [
      [
        { name: 'orders', side: 'recv' },
        { name: 'orders', side: 'send' },
      ],
      'channels[1].name',
      /named twice/,
    ],
    [Array.from({ length: 17 }, (_, i) => ({ name: `c${i}`, side: 'recv' })), 'channels', /16/],
  ])('cannot use %j', async (channels, field, message) => {
    const test = await startDaemon();
    const refused = test.create({ command, channels: channels as [] });
    await expect(refused).rejects.toMatchObject({ code: 'invalid', field, message: expect.stringMatching(message) });
    expect(await test.client.list()).toEqual([]);
  });

  it('is not called host', async () => {
    const test = await startDaemon();
    await expect(test.create({ name: 'host', command })).rejects.toMatchObject({
      code: 'invalid',
      field: 'name',
      value: 'host',
      hint: expect.stringContaining('another name'),
    });
  });
});
