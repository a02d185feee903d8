/** Functions that come to kernels that run, and go: by the API, on a modelled kernel of the host, with guests that do and do not let go. */
import { expect, test } from 'vitest';
import { FakeDriver } from '../../src/driver/fake/driver.ts';
import { eventually, startDaemon } from '../support/harness.ts';
import { SriovModel } from '../support/sriov-model.ts';

const PF = '0000:3b:00.0';
const [VF0, VF1] = ['0000:3b:00.1', '0000:3b:00.2'] as const;
const lease = { take: () => {}, drop: () => {} };
const command = ['sleep', '1000'];

async function started(drivers = [new FakeDriver()]) {
  const model = new SriovModel([{ address: PF, firstVirtual: VF0, most: 8, node: 0 }]);
  const daemon = await startDaemon({ functions: { sysfs: model, ...lease }, drivers });
  await daemon.client.setVirtualFunctions({ address: PF, count: 4 }, () => {});
  const run = async (name: string, more = {}) => {
    await daemon.create({ name, command, ...more });
    await eventually(async () => (await daemon.client.inspect(name)).state === 'running');
  };
  const attach = (name: string, device: string) => daemon.client.attachFunction(name, { device }, () => {});
  const owners = async () =>
    (await daemon.client.functions()).leases.map(({ address, owner, state }) => [address, owner, state]);
  return { ...daemon, model, run, attach, owners };
}

test('a running kernel gets a function and lets go of it, which is reset before it is free; its next kernels have what it has', async () => {
  const { client, model, run, attach, owners, crashAndRestart } = await started();
  await run('web');
  await run('other');
  const first = await attach('web', `${VF0}=nic0`);
  expect(first).toMatchObject({ address: VF0, name: 'nic0', generation: 1, running: true, warnings: [] });
  expect(model.functions.get(VF0)!.driver).toBe('vfio-pci');
  expect(await attach('web', 'vf:nvme')).toMatchObject({ address: VF1, running: true });
  await expect(attach('web', VF0)).rejects.toMatchObject({ code: 'conflict' });
  await expect(attach('other', VF0)).rejects.toMatchObject({ code: 'conflict' });
  await expect(attach('web', '0000:3b:00.3=nic0')).rejects.toMatchObject({
    code: 'invalid',
    message: `${VF0} is called nic0 already`,
  });
  await expect(client.detachFunction('other', VF0)).rejects.toMatchObject({ code: 'not-found' });
  // It is the same after a crash of the daemon: the kernel went on.
  await crashAndRestart();
  await eventually(async () => (await client.inspect('web')).state === 'running');
  expect(await owners()).toEqual([VF0, VF1].map((address) => [address, 'web', 'leased']));
  await client.detachFunction('web', VF0);
  expect(model.functions.get(VF0)).toMatchObject({ driver: null, resets: 1 });
  expect(await owners()).toEqual([[VF1, 'web', 'leased']]);
  expect(await attach('other', VF0)).toMatchObject({ generation: 2, owner: 'other' });
  await client.remove('web', { force: true });
  await eventually(async () => (await owners()).length === 1);
});

test('one that the guest keeps stays its own, in the ledger too; one that its kernel cannot get is given back', async () => {
  const { client, model, run, attach, owners } = await started();
  await run('stubborn', { hostname: 'never-gives' });
  await attach('stubborn', VF0);
  await expect(client.detachFunction('stubborn', VF0)).rejects.toMatchObject({
    code: 'not-ready',
    message: expect.stringContaining(`the guest does not let go of ${VF0}`),
  });
  expect(await owners()).toEqual([[VF0, 'stubborn', 'leased']]);
  expect(model.functions.get(VF0)!.resets).toBe(0);
  await run('blind', { hostname: 'never-takes' });
  await expect(attach('blind', VF1)).rejects.toMatchObject({
    code: 'not-ready',
    message: expect.stringContaining('what was done before was taken back'),
  });
  expect(await owners()).toEqual([[VF0, 'stubborn', 'leased']]);
  // It was plugged in, so it is reset.
  expect(model.functions.get(VF1)).toMatchObject({ driver: null, resets: 1 });
});

test('where no kernel runs the next one gets it, and a driver that cannot says so before anything is leased', async () => {
  const { client, create, run, attach, owners } = await started([
    new FakeDriver({ capabilities: { devices: 'boot' } }),
  ]);
  await create({ name: 'later', command, start: false });
  expect(await attach('later', VF0)).toMatchObject({ address: VF0, running: false });
  await client.detachFunction('later', VF0);
  await run('web');
  await expect(attach('web', VF0)).rejects.toMatchObject({ code: 'unsupported' });
  expect(await owners()).toEqual([]);
});

test('who gets one function of a device is told which stay behind', async () => {
  const { client, model, run, attach } = await started();
  for (const last of [0, 1, 2]) model.add(`0000:5e:00.${last}`, { driver: 'nvme' });
  await run('web');
  expect((await attach('web', '0000:5e:00.1')).warnings).toEqual([
    '0000:5e:00.1 is one function of a device whose others stay behind: 0000:5e:00.0 (nvme), 0000:5e:00.2 (nvme). What resets the device resets them all.',
  ]);
  const left = await client.assignFunction({ device: '0000:5e:00.0', to: 'web' });
  expect(left.warnings).toEqual([expect.stringContaining(': 0000:5e:00.2 (nvme).')]);
  expect((await client.assignFunction({ device: '0000:5e:00.2', to: 'web' })).warnings).toEqual([]);
});
