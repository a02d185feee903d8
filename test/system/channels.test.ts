/** Channels as a daemon manages them: real memory with real keepers, kernels that are fake. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { KEEPER_DIRECTORY, Keepers } from '../../src/channel/keeper.ts';
import { FakeDriver, fakeGuest } from '../../src/driver/fake/driver.ts';
import { type Consumer, openChannel, type Producer, SharedMemory } from '../../src/ring/index.ts';
import { eventually, startDaemon, type TestDaemon, untilState } from '../support/harness.ts';
import { ManualClock } from '../support/manual-clock.ts';

const directory = ({ home }: TestDaemon) => join(home, 'channels');
const keepersOf = (daemon: TestDaemon) => new Keepers(join(directory(daemon), KEEPER_DIRECTORY));
const sender = (daemon: TestDaemon, name: string): Promise<Producer> =>
  openChannel(name, 'send', { directory: directory(daemon) });
const receiver = (daemon: TestDaemon, name: string): Promise<Consumer> =>
  openChannel(name, 'recv', { directory: directory(daemon) });
const text = (message: Uint8Array | undefined) => message && Buffer.from(message).toString();

/** What is told of channels from now on. */
function listen(daemon: TestDaemon): string[] {
  const told: string[] = [];
  const done = new AbortController();
  onTestFinished(() => done.abort());
  const gather = async () => {
    for await (const { type, name, message } of daemon.client.events({ since: 0 }, done.signal))
      if (type.startsWith('channel-')) told.push(`${type} ${name}: ${message}`);
  };
  gather().catch(() => {});
  return told;
}

function keeperPid(daemon: TestDaemon, id: string): number {
  return Number(readFileSync(join(directory(daemon), KEEPER_DIRECTORY, id), 'latin1').split(' ')[0]);
}

test('carries messages between two programs of the host, and shows them', async () => {
  const daemon = await startDaemon();
  const made = await daemon.client.createChannel({ name: 'orders', sizeBytes: 4096 });
  expect(made).toMatchObject({ state: 'ok', from: { owner: 'host', visible: 'attached' }, largestMessage: 2040 });
  using tx = await sender(daemon, 'orders');
  using rx = await receiver(daemon, 'orders');
  tx.send(Buffer.from('hello'));
  expect(text(rx.receive())).toBe('hello');
  expect(await daemon.client.channel('orders')).toMatchObject({
    from: { state: 'open', epoch: 1, messages: 1, pid: process.pid },
    to: { messages: 1, bytes: 5 },
  });
  const told = listen(daemon);
  await eventually(() => told.length >= 2);
  expect(told.slice(0, 2)).toEqual([
    'channel-created orders: host to host, 4 KiB',
    expect.stringMatching(/^channel-attached orders: send side \(host\): process \d+, epoch 1$/),
  ]);
});

test('one program at a time has a side, and the kernel frees it', async () => {
  const daemon = await startDaemon();
  await daemon.client.createChannel({ name: 'orders' });
  const first = await sender(daemon, 'orders');
  await expect(sender(daemon, 'orders')).rejects.toMatchObject({ code: 'conflict', value: 'send' });
  first[Symbol.dispose]();
  using second = await sender(daemon, 'orders');
  expect(second.epoch).toBe(2);
});

test.each([
  [{ name: 'Orders' }, 'name'],
  [{ name: 'orders', sizeBytes: 5000 }, 'sizeBytes'],
  [{ name: 'orders', from: 'web', to: 'web' }, 'to'],
  [{ name: 'orders', from: '../x' }, 'from'],
  [{ name: 'orders', sizeBytes: 2 ** 31 }, 'sizeBytes'],
])('refuses %j', async (request, field) => {
  const daemon = await startDaemon();
  await expect(daemon.client.createChannel(request)).rejects.toMatchObject({ code: 'invalid', field });
  expect(await daemon.client.channels()).toEqual([]);
  expect(keepersOf(daemon).list()).toEqual([]);
});

test('a name is taken once', async () => {
  const daemon = await startDaemon();
  await daemon.client.createChannel({ name: 'orders' });
  await expect(daemon.client.createChannel({ name: 'orders' })).rejects.toMatchObject({ code: 'conflict' });
});

test('survives the daemon with its messages, and the end that stays open', async () => {
  const daemon = await startDaemon();
  await daemon.client.createChannel({ name: 'orders' });
  using tx = await sender(daemon, 'orders');
  tx.send(Buffer.from('before'));
  await daemon.crashAndRestart();
  tx.send(Buffer.from('after'));
  using rx = await receiver(daemon, 'orders');
  expect([text(rx.receive()), text(rx.receive())]).toEqual(['before', 'after']);
  expect(await daemon.client.channel('orders')).toMatchObject({ state: 'ok', from: { messages: 2 } });
});

test('a killed keeper is replaced, and nothing is lost', async () => {
  const clock = new ManualClock();
  const daemon = await startDaemon({ clock });
  const { id } = await daemon.client.createChannel({ name: 'orders' });
  using tx = await sender(daemon, 'orders');
  tx.send(Buffer.from('kept'));
  const killed = keeperPid(daemon, id);
  process.kill(killed, 'SIGKILL');
  await eventually(() => keepersOf(daemon).find(id) === undefined);
  await eventually(() => {
    clock.advance(5000);
    return keepersOf(daemon).find(id) !== undefined;
  });
  expect(keeperPid(daemon, id)).not.toBe(killed);
  await daemon.crashAndRestart();
  const rx = await eventually(() => receiver(daemon, 'orders').catch(() => undefined));
  expect(text(rx.receive())).toBe('kept');
  rx[Symbol.dispose]();
});

test('memory that went with daemon and keeper is made anew, and that is told', async () => {
  const daemon = await startDaemon();
  const { id } = await daemon.client.createChannel({ name: 'orders' });
  await daemon.daemon.drop();
  process.kill(keeperPid(daemon, id), 'SIGKILL');
  await eventually(() => keepersOf(daemon).find(id) === undefined);
  await daemon.crashAndRestart();
  const after = await daemon.client.channel('orders');
  expect(after).toMatchObject({ state: 'ok', depthBytes: 0 });
  expect(after.id).not.toBe(id);
  const told = listen(daemon);
  await eventually(() => told.includes('channel-error orders: its memory was lost with the host; it is empty now'));
  expect(keepersOf(daemon).list()).toEqual([after.id]);
});

test('a keeper whose directory is removed from under it ends', async () => {
  const daemon = await startDaemon();
  const { id } = await daemon.client.createChannel({ name: 'orders' });
  const pid = keeperPid(daemon, id);
  await daemon.daemon.drop();
  await rm(directory(daemon), { recursive: true });
  await eventually(() => !existsSync(`/proc/${pid}/fd`), 15_000);
});

test('what a crash left of a removal, or without a record, goes at the next start', async () => {
  const daemon = await startDaemon();
  const { id } = await daemon.client.createChannel({ name: 'orders' });
  const keepers = keepersOf(daemon);
  const stranger = 'ab'.repeat(16);
  await keepers.start(stranger, 4096);
  // It may fail while nobody waits for it yet.
  const removal = daemon.client.removeChannel('orders').catch(() => {});
  await eventually(() => !existsSync(join(directory(daemon), 'orders')));
  await daemon.daemon.drop();
  await removal;
  await daemon.crashAndRestart();
  expect(await daemon.client.channels()).toEqual([]);
  await eventually(() => keepers.find(id) === undefined && keepers.find(stranger) === undefined);
  expect(readdirSync(directory(daemon)).filter((name) => !name.startsWith('.'))).toEqual([]);
});

test('is not removed under a program, unless by force: that wakes it with an error', async () => {
  const daemon = await startDaemon();
  const { id } = await daemon.client.createChannel({ name: 'orders' });
  const rx = await receiver(daemon, 'orders');
  await expect(daemon.client.removeChannel('orders')).rejects.toMatchObject({ code: 'conflict' });
  const waiting = rx.next();
  await eventually(async () => (await daemon.client.channel('orders')).to.asleep);
  await daemon.client.removeChannel('orders', { force: true });
  await expect(waiting).rejects.toThrow(/removed by its owner/);
  rx[Symbol.dispose]();
  expect(keepersOf(daemon).find(id)).toBeUndefined();
  await expect(daemon.client.channel('orders')).rejects.toMatchObject({ code: 'not-found' });
  await expect(receiver(daemon, 'orders')).rejects.toMatchObject({ code: 'not-found' });
});

test('a running kernel sees a new channel, and its bells and the host’s reach each other', async () => {
  const daemon = await startDaemon();
  await daemon.create({ name: 'web', command: ['sleep', '1000'] });
  const { launch } = (await untilState(daemon, 'web', 'running')) && daemon.daemon.supervisor.get('web').record;
  await daemon.client.createChannel({ name: 'orders', from: 'web' });
  expect(await daemon.client.channel('orders')).toMatchObject({ from: { owner: 'web', visible: 'attached' } });
  const guest = fakeGuest(launch!.directory)!;
  expect(guest.files.get('/run/pk/channels/orders')?.content.toString()).toMatch(/^0 send pci/);
  await expect(sender(daemon, 'orders')).rejects.toMatchObject({ code: 'permission', value: 'send' });

  const rx = await receiver(daemon, 'orders');
  await eventually(() => guest.bells.includes(0));
  const waiting = rx.next();
  await eventually(async () => (await daemon.client.channel('orders')).to.asleep);
  // What the guest's program would do: its end of the same memory.
  using memory = SharedMemory.open(keepersOf(daemon).find((await daemon.client.channel('orders')).id)!);
  const tx = await openInMemory(memory);
  tx.send(Buffer.from('from the guest'));
  guest.ring(0);
  expect(text(await waiting)).toBe('from the guest');
  rx[Symbol.dispose]();
  await daemon.client.removeChannel('orders', { force: true });
  expect(guest.files.has('/run/pk/channels/orders')).toBe(false);
});

/** A producer whose bell does nothing: the test rings. */
async function openInMemory(memory: SharedMemory): Promise<Producer> {
  const { attachProducer } = await import('../../src/ring/index.ts');
  return attachProducer(memory, {
    bell: { ring() {}, park() {}, parked: async () => {}, [Symbol.dispose]() {} },
  });
}

test('a kernel that takes memory at boot alone gets the channel at its next start', async () => {
  const daemon = await startDaemon({ drivers: [new FakeDriver({ capabilities: { sharedMemory: 'boot' } })] });
  await daemon.create({ name: 'web', command: ['sleep', '1000'] });
  await untilState(daemon, 'web', 'running');
  await daemon.client.createChannel({ name: 'orders', to: 'web' });
  expect((await daemon.client.channel('orders')).to).toMatchObject({
    visible: 'pending',
    reason: expect.stringMatching(/at its start alone/),
  });
  await daemon.client.stop('web');
  expect((await daemon.client.channel('orders')).to).toMatchObject({ visible: 'absent' });
  await daemon.client.start('web');
  expect((await daemon.client.channel('orders')).to).toMatchObject({ visible: 'attached', reason: null });
  await daemon.crashAndRestart();
  await eventually(async () => (await daemon.client.channel('orders')).to.visible === 'attached');
});

test('an instance takes the ends it asks for, and gives them back', async () => {
  const daemon = await startDaemon();
  await daemon.client.createChannel({ name: 'orders' });
  const channels = [
    { name: 'orders', side: 'recv' },
    { name: 'fresh', side: 'send' },
  ] as const;
  await daemon.create({ name: 'web', command: ['sleep', '1000'], channels: [...channels] });
  const owners = async () =>
    Object.fromEntries((await daemon.client.channels()).map(({ name, from, to }) => [name, [from.owner, to.owner]]));
  expect(await owners()).toEqual({ fresh: ['web', 'host'], orders: ['host', 'web'] });
  const refused = daemon.create({
    name: 'db',
    command: ['sleep', '1000'],
    channels: [{ name: 'orders', side: 'recv' }],
  });
  await expect(refused).rejects.toMatchObject({ code: 'conflict', value: 'orders:recv' });
  await daemon.client.remove('web', { force: true });
  expect(await owners()).toEqual({ fresh: ['host', 'host'], orders: ['host', 'host'] });
  using tx = await sender(daemon, 'orders');
  const busy = daemon.create({ name: 'db', command: ['sleep', '1000'], channels: [{ name: 'orders', side: 'send' }] });
  await expect(busy).rejects.toMatchObject({ code: 'conflict', value: 'orders:send' });
  expect(tx.epoch).toBe(1);
  expect(await owners()).toEqual({ fresh: ['host', 'host'], orders: ['host', 'host'] });
});

test('a kernel has sixteen channels at most', async () => {
  const daemon = await startDaemon();
  const names = Array.from({ length: 16 }, (_, index) => `c${index}`);
  for (const name of names) await daemon.client.createChannel({ name, from: 'web', sizeBytes: 4096 });
  const seventeenth = daemon.client.createChannel({ name: 'more', to: 'web' });
  await expect(seventeenth).rejects.toMatchObject({ code: 'conflict', value: 'web' });
});

test('garbage in the header puts that channel alone in error, and that is told', async () => {
  const daemon = await startDaemon();
  const { id } = await daemon.client.createChannel({ name: 'orders' });
  await daemon.client.createChannel({ name: 'other' });
  using tx = await sender(daemon, 'orders');
  using memory = SharedMemory.open(keepersOf(daemon).find(id)!);
  new Uint8Array(memory.buffer).fill(0xa5, 0, 4096);
  tx[Symbol.dispose]();
  const told = listen(daemon);
  await eventually(() => told.includes('channel-error orders: one end has overwritten the header'));
  expect(await daemon.client.channel('orders')).toMatchObject({
    state: 'error',
    fault: expect.stringContaining('overwritten'),
  });
  expect(await daemon.client.channel('other')).toMatchObject({ state: 'ok' });
  await daemon.client.removeChannel('orders', { force: true });
});
