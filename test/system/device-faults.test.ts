/** What goes wrong with functions that are given away: who is told what, and that the ledger stays true. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { FakeDriver } from '../../src/driver/fake/driver.ts';
import { functionLease } from '../../src/pool/pool-lease.ts';
import { SysfsFault } from '../../src/sriov/sysfs.ts';
import { eventually, HOST, startDaemon } from '../support/harness.ts';
import { modelHost } from '../support/model-host.ts';
import { functionsOn } from '../support/sriov-functions.ts';
import { SriovModel } from '../support/sriov-model.ts';

const PF = '0000:3b:00.0';
const [VF0, VF1] = ['0000:3b:00.1', '0000:3b:00.2'] as const;
const card = { address: PF, firstVirtual: VF0, most: 8 };
const command = ['sleep', '1000'];

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

test('what the host needs for its root disk or its way out is given to nobody, and it is said what for', async () => {
  const model = new SriovModel([card]);
  const devices = [
    { address: VF0, physicalFunction: PF, class: 0x010802, hostUse: 'root disk /dev/nvme1n1' },
    { address: VF1, physicalFunction: PF, class: 0x020000, hostUse: 'default route over eth0' },
  ];
  const host = { ...HOST, readTopology: () => modelHost({ devices }) };
  const functions = { sysfs: model, take: () => {}, drop: () => {} };
  const { client, create } = await startDaemon({ host, functions, drivers: [new FakeDriver()] });
  await client.setVirtualFunctions({ address: PF, count: 2 }, () => {});
  await create({ name: 'web', command });
  await eventually(async () => (await client.inspect('web')).state === 'running');
  for (const { address, hostUse } of devices) {
    const refused = { code: 'conflict', message: expect.stringContaining(hostUse) };
    await expect(client.assignFunction({ device: address, to: 'web' })).rejects.toMatchObject(refused);
    await expect(client.attachFunction('web', { device: address }, () => {})).rejects.toMatchObject(refused);
    await expect(create({ name: 'other', command, devices: [address] })).rejects.toMatchObject(refused);
  }
  await expect(client.attachFunction('web', { device: 'vf:any' }, () => {})).rejects.toMatchObject({
    code: 'conflict',
  });
  await expect(client.setVirtualFunctions({ address: PF, count: 0 }, () => {})).rejects.toMatchObject({
    message: expect.stringContaining('the host (root disk'),
  });
  expect((await client.functions()).leases).toEqual([]);
});

test('of two managers of one machine the second changes nothing, and is told who is the first', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'pk-managers-'));
  ends.push(() => rm(directory, { recursive: true }));
  const model = new SriovModel([card]);
  const [first, second] = ['a', 'b'].map((name) => {
    const home = join(directory, name);
    return functionsOn(model, {}, functionLease(name === 'a' ? directory : home, join(directory, 'run')));
  }) as [ReturnType<typeof functionsOn>, ReturnType<typeof functionsOn>];
  ends.push(first.end, second.end);
  await first.set(2, PF);
  const writes = model.writes.length;
  const refused = { code: 'conflict', message: `the daemon of ${directory} has the functions of this machine` };
  await expect(second.set(4, PF)).rejects.toMatchObject(refused);
  await expect(second.assign(VF0, 'web')).rejects.toMatchObject(refused);
  expect(model.writes).toHaveLength(writes);
  await first.set(0, PF);
  expect(await second.set(4, PF)).toMatchObject({ now: 4 });
});

test('a kernel that is locked down, or whose /sys is read-only, says so', async () => {
  const model = new SriovModel([card]);
  const { set, list, end } = functionsOn(model);
  ends.push(end);
  for (const [code, words] of [
    ['EPERM', 'not locked down'],
    ['EROFS', 'outside of that container'],
  ] as const) {
    model.makes = () => {
      throw new SysfsFault(code, 'sriov_numvfs');
    };
    await expect(set(2, PF)).rejects.toMatchObject({ code: 'permission', hint: expect.stringContaining(words) });
  }
  expect((await list()).physical).toMatchObject([{ wanted: null, virtual: [] }]);
});

test.each(['driver_override', 'vfio-pci/bind'])(
  'a daemon that ends at the %s of an assignment has it on record, and it can be taken back and given to another',
  async (step) => {
    const model = new SriovModel([card]);
    const { set, assign, list, release, restart, end } = functionsOn(model);
    ends.push(end);
    await set(1, PF);
    const { promise, resolve } = Promise.withResolvers<void>();
    let isHeld = false;
    model.hold = (path) => {
      if (!path.endsWith(step) || isHeld) return undefined;
      isHeld = true;
      return promise;
    };
    const cutOff = assign(VF0, 'web').catch(() => {});
    await eventually(() => isHeld);
    await restart();
    expect((await list()).leases).toMatchObject([{ address: VF0, owner: 'web', state: 'leased' }]);
    resolve();
    await cutOff;
    await release(VF0);
    expect((await list()).leases).toEqual([]);
    expect(model.functions.get(VF0)).toMatchObject({ resets: 1, driver: null, override: '' });
    expect(await assign(VF0, 'other')).toMatchObject({ owner: 'other' });
  },
);

test('a daemon that is killed while it gives a running kernel a function takes that back', async () => {
  const model = new SriovModel([card]);
  const functions = { sysfs: model, take: () => {}, drop: () => {} };
  const { client, create, crashAndRestart } = await startDaemon({ functions, drivers: [new FakeDriver()] });
  await client.setVirtualFunctions({ address: PF, count: 2 }, () => {});
  await create({ name: 'web', command });
  await eventually(async () => (await client.inspect('web')).state === 'running');
  const { promise, resolve } = Promise.withResolvers<void>();
  let isHeld = false;
  model.hold = (path) => {
    if (!path.endsWith('vfio-pci/bind')) return undefined;
    isHeld = true;
    return promise;
  };
  const cutOff = client.attachFunction('web', { device: VF0 }, () => {}).catch(() => {});
  await eventually(() => isHeld);
  expect((await client.functions()).leases).toMatchObject([{ owner: 'web' }]);
  model.hold = () => undefined;
  const restarted = crashAndRestart();
  resolve();
  await restarted;
  await cutOff;
  await eventually(async () => (await client.functions()).leases.length === 0);
  expect((await client.inspect('web')).state).toBe('running');
  expect(await client.attachFunction('web', { device: VF0 }, () => {})).toMatchObject({ running: true });
});

test('a function that a VMM keeps open, whatever it says, is nobody’s until it lets go', async () => {
  const model = new SriovModel([card]);
  const { set, assign, list, release, end } = functionsOn(model, { bind: 20 });
  ends.push(end);
  await set(1, PF);
  await assign(VF0, 'web');
  const { promise, resolve } = Promise.withResolvers<void>();
  model.hold = (path) => (path.endsWith('vfio-pci/unbind') ? promise : undefined);
  await expect(release(VF0)).rejects.toMatchObject({ message: expect.stringContaining('takes longer') });
  expect((await list()).leases).toMatchObject([{ state: 'failed', owner: 'web' }]);
  expect(model.functions.get(VF0)!.resets).toBe(0);
  await expect(assign(VF0, 'other')).rejects.toMatchObject({ code: 'conflict' });
  model.hold = () => undefined;
  resolve();
  await eventually(() => model.functions.get(VF0)!.driver === null);
  await release(VF0);
  expect(model.functions.get(VF0)!.resets).toBe(1);
  expect(await assign(VF0, 'other')).toMatchObject({ generation: 2 });
});
