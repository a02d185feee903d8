/** Network settings of virtual functions over a lease: applied before a kernel has it, changed, taken back, gone on return. */
import { expect, test } from 'vitest';
import { FakeDriver } from '../../src/driver/fake/driver.ts';
import { eventually, startDaemon } from '../support/harness.ts';
import { IpModel } from '../support/ip-model.ts';
import { SriovModel } from '../support/sriov-model.ts';

const PF = '0000:3b:00.0';
const [VF0, VF1] = ['0000:3b:10.0', '0000:3b:10.1'] as const;
const NVME_PF = '0000:5e:00.0';
const command = ['sleep', '1000'];

async function started() {
  const ip = new IpModel();
  const model = new SriovModel([
    { address: PF, firstVirtual: VF0, most: 2, class: '0x020000', driver: 'igb' },
    { address: NVME_PF, firstVirtual: '0000:5e:00.1', most: 2 },
  ]);
  const functions = { sysfs: model, ip: ip.run, take: () => {}, drop: () => {} };
  const daemon = await startDaemon({ functions, drivers: [new FakeDriver()] });
  for (const address of [PF, NVME_PF]) await daemon.client.setVirtualFunctions({ address, count: 2 }, () => {});
  await daemon.create({ name: 'web', command });
  await eventually(async () => (await daemon.client.inspect('web')).state === 'running');
  const attach = (device: string) => daemon.client.attachFunction('web', { device }, () => {});
  const set = (address: string, settings: string[], dry = false) =>
    daemon.client.setFunctionNetwork(address, { settings, dry });
  return { ...daemon, ip, model, attach, set };
}

test('settings of a wish are there before its driver is; later ones are shown, set and read back; on return it is as it was', async () => {
  const { client, ip, model, attach, set } = await started();
  const before = structuredClone(ip.vf(1));
  let seen: unknown;
  model.hold = (path) => {
    if (path.endsWith('vfio-pci/bind')) seen = structuredClone(ip.vf(1));
    return undefined;
  };
  await attach(`${VF1}=nic0,mac=52:54:00:00:00:01,vlan=100,trust=on`);
  expect(seen).toMatchObject({ address: '52:54:00:00:00:01', vlan_list: [{ vlan: 100, qos: 0 }], trust: true });
  const commands = ip.commands.length;
  const dry = await set(VF1, ['vlan=100', 'max-rate=500', 'spoof-check=off'], true);
  expect(dry).toMatchObject({ change: 'max-rate=500 spoof-check=off', before: { vlan: 100, maxRate: 0 } });
  expect(ip.commands).toHaveLength(commands);
  expect(await set(VF1, ['vlan=100', 'max-rate=500', 'spoof-check=off'])).toMatchObject({ now: { maxRate: 500 } });
  expect(ip.vf(1)).toMatchObject({ rate: { max_tx: 500, min_tx: 0 }, spoofchk: false });
  expect((await set(VF1, ['max-rate=500'])).change).toBe('');
  await client.detachFunction('web', VF1);
  expect({ ...ip.vf(1), vlan_list: [{}] }).toEqual(before);
  expect(ip.vf(1).vlan_list).toEqual([{ vlan: 0, qos: 0 }]);
});

test('what the driver refuses, or takes and does not do, leaves all as it was', async () => {
  const { client, ip, attach, set } = await started();
  ip.refuses.add('trust');
  await expect(attach(`${VF0},vlan=7,trust=on`)).rejects.toMatchObject({
    message: expect.stringContaining('Operation not supported'),
  });
  expect(ip.vf(0)).toMatchObject({ vlan_list: [{ vlan: 0 }], trust: false });
  expect((await client.functions()).leases).toEqual([]);
  await attach(VF0);
  await expect(set(VF0, ['vlan=7', 'trust=on'])).rejects.toMatchObject({ code: 'unavailable' });
  ip.ignores.add('max_tx_rate');
  await expect(set(VF0, ['vlan=7', 'max-rate=10'])).rejects.toMatchObject({
    message: expect.stringContaining('the driver took max-rate=10 and did not do it'),
  });
  expect(ip.vf(0).vlan_list).toEqual([{ vlan: 0, qos: 0 }]);
});

test('refused: settings that are none, of what is no network function, and of what nobody has', async () => {
  const { attach, set } = await started();
  const refusals: [() => Promise<unknown>, object][] = [
    [() => attach(`${VF0},vlan=4095`), { code: 'invalid' }],
    [() => attach(`${VF0},mtu=9000`), { code: 'invalid' }],
    [() => attach('vf:nvme,vlan=1'), { code: 'unsupported', message: expect.stringContaining('no network settings') }],
    [() => set(VF0, ['vlan=1']), { code: 'not-found' }],
    [() => set(VF0, ['nonsense']), { code: 'invalid' }],
  ];
  for (const [attempt, error] of refusals) await expect(attempt()).rejects.toMatchObject(error);
});
