/** `pk channel` as people use it, against the API on a manager that only remembers. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { ChannelManager, ChannelStatus } from '../../src/channel/contract.ts';
import { layout } from '../../src/sys/paths.ts';
import { apiOf } from '../support/api.ts';
import { fakeChannels } from '../support/channels.ts';
import { finished, Sandbox } from '../support/pk.ts';

let channels: ChannelManager;
let sandbox: Sandbox;
let close: () => Promise<void>;

beforeEach(async () => {
  const home = mkdtempSync(join(tmpdir(), 'pk-unit-'));
  channels = fakeChannels();
  const server = apiOf({ channels, version: () => ({}) });
  await server.listen({ path: layout(home).socket });
  sandbox = new Sandbox(home, { ...process.env, POLYKERNEL_HOME: home, NO_COLOR: '1' });
  close = async () => {
    await server.close();
    rmSync(home, { recursive: true });
  };
});
afterEach(() => close());

it('create, ls, inspect and rm', async () => {
  expect(await sandbox.ok('channel', 'create', 'orders', '--to', 'web', '--size', '64K')).toBe('orders\n');
  expect(await sandbox.json<ChannelStatus>('channel', 'create', 'answers', '--from', 'web')).toEqual(
    channels.get('answers'),
  );
  expect(await sandbox.ok('channel', 'ls')).toMatch(
    /^NAME .*\nanswers +web +host +1 MiB .*\norders +host +web +64 KiB/,
  );
  expect(await sandbox.json('channel', 'ls')).toEqual(channels.list());
  expect(await sandbox.json('channel', 'inspect', 'orders')).toEqual(channels.get('orders'));
  expect(await sandbox.json('channel', 'inspect', 'orders', 'answers')).toHaveLength(2);
  channels.get('orders').from.state = 'open';
  const refused = await sandbox.pk(['channel', 'rm', 'orders', 'answers']);
  expect(refused).toMatchObject({ code: 125, stdout: 'answers\n', stderr: expect.stringContaining('is attached') });
  expect(await sandbox.ok('channel', 'rm', '--force', 'orders')).toBe('orders\n');
  expect(channels.list()).toEqual([]);
  expect(await sandbox.pk(['channel', 'inspect', 'orders'])).toMatchObject({ code: 125 });
});

it('completes names of channels', async () => {
  await channels.create({ name: 'orders' });
  expect(await sandbox.ok('__complete', 'channel', 'stats', 'o')).toBe('orders\n');
  expect(await sandbox.ok('__complete', 'run', '--channel', '')).toBe('orders:send\norders:recv\n');
});

it('stats shows rates until Ctrl-C', async () => {
  await channels.create({ name: 'orders' });
  const child = sandbox.start('channel', 'stats', '--watch', '--json', 'orders');
  const end = finished(child);
  child.stdout!.once('data', () => child.kill('SIGINT'));
  const { code, stdout, stderr } = await end;
  expect({ code, stderr }).toEqual({ code: 130, stderr: '' });
  expect(JSON.parse(stdout)).toMatchObject({ name: 'orders', from: { messagesPerSecond: 0 } });
  expect(await sandbox.pk(['channel', 'stats', 'nowhere'])).toMatchObject({ code: 125 });
});
