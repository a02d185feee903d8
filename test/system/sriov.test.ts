/** Virtual functions from being made to being given back, on a modelled kernel: what the product says, and what it did to that. */
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import type { LaunchSpec } from '../../src/driver/index.ts';
import { SysfsFault } from '../../src/sriov/sysfs.ts';
import { hostSysfs } from '../../src/sriov/sysfs-process.ts';
import { run } from '../../src/sys/process.ts';
import { eventually, HOST, startDaemon } from '../support/harness.ts';
import { modelHost } from '../support/model-host.ts';
import { functionsOn } from '../support/sriov-functions.ts';
import { SriovModel } from '../support/sriov-model.ts';

const PF = '0000:3b:00.0';
const VF0 = '0000:3b:00.1';
const card = { address: PF, firstVirtual: VF0, most: 16, node: 0 };

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

function withModel(model = new SriovModel([card]), patience = {}) {
  const functions = functionsOn(model, patience);
  ends.push(functions.end);
  const set = (count: number, address = PF, say?: (text: string) => void) => functions.set(count, address, say);
  return { ...functions, set, model };
}

const numbersOf = ({ writes }: SriovModel) => writes.filter((each) => each.includes('sriov_numvfs'));

test('makes as many as asked for, without drivers of the host, and again after a reboot', async () => {
  const { restart, list, model, set } = withModel();
  const said: string[] = [];
  expect(await set(8, PF, (text) => said.push(text))).toEqual({ address: PF, before: 0, now: 8, notes: [] });
  expect(model.online).toBe(8);
  expect(said).toContain(`${PF}: making 8 virtual functions`);
  expect(model.writes).toEqual([`devices/${PF}/sriov_drivers_autoprobe 0`, `devices/${PF}/sriov_numvfs 8`]);
  const { physical } = await list();
  expect(physical).toHaveLength(1);
  expect(physical[0]).toMatchObject({ address: PF, most: 16, wanted: 8, driver: 'nvme', node: 0 });
  expect(physical[0]!.virtual.map(({ index, driver }) => [index, driver])).toEqual(
    Array.from({ length: 8 }, (_, index) => [index, null]),
  );
  // Once more is nothing.
  expect((await set(8)).notes).toEqual(['there were 8 already']);
  model.reboot();
  await restart();
  await eventually(async () => (await list()).physical[0]!.virtual.length === 8);
  expect(numbersOf(model)).toHaveLength(2);
});

test('goes by way of zero to another number, and is refused while one is leased, which is named', async () => {
  const { list, assign, release, model, set, held } = withModel();
  await set(4);
  await set(6);
  expect(numbersOf(model)).toEqual([4, 0, 6].map((count) => `devices/${PF}/sriov_numvfs ${count}`));
  expect(await assign('vf:nvme', 'web')).toMatchObject({ address: VF0, owner: 'web' });
  for (const count of [0, 8])
    await expect(set(count)).rejects.toMatchObject({
      code: 'conflict',
      message: `virtual functions of ${PF} are in use: ${VF0} by web`,
    });
  expect((await list()).physical[0]).toMatchObject({ wanted: 6 });
  await release(VF0);
  expect(held.yes).toBe(true);
  await set(0);
  expect((await list()).physical[0]).toMatchObject({ wanted: null, virtual: [] });
  // Another daemon may have them now.
  expect(held.yes).toBe(false);
});

test('says what the driver made where it is less, and waits for links that come late', async () => {
  const model = new SriovModel([card]);
  model.makes = () => 3;
  model.lateLinks = 2;
  const { plan, set } = withModel(model);
  const { now, notes } = await set(5);
  expect(now).toBe(3);
  expect(notes).toEqual(['its driver made 3 and not 5: `dmesg` may say why']);
  const [change] = await plan();
  expect(change).toMatchObject({ now: 3, wanted: 5, obstacle: expect.stringContaining('others made') });
});

test('a refusal of the kernel is told with its remedy, and leaves what was wanted as it was', async () => {
  const model = new SriovModel([
    card,
    { ...card, address: '0000:5e:00.0', firstVirtual: '0000:5e:00.1', driver: null },
  ]);
  const { list, assign, release, set } = withModel(model);
  model.makes = () => {
    throw new SysfsFault('ENOMEM', 'sriov_numvfs');
  };
  await expect(set(4)).rejects.toMatchObject({ code: 'unavailable', hint: expect.stringContaining('pci=realloc') });
  model.makes = (count) => count;
  await set(2);
  const refusals: [() => Promise<unknown>, object][] = [
    [() => set(17), { code: 'invalid', message: `${PF} can have 16 virtual functions, not 17` }],
    [() => set(1, '0000:5e:00.0'), { code: 'unsupported', message: expect.stringContaining('no driver') }],
    [() => set(1, '0000:99:00.0'), { code: 'not-found' }],
    [() => set(1, VF0), { code: 'unsupported', hint: expect.stringContaining(PF) }],
    [() => set(1, 'nonsense'), { code: 'invalid' }],
    [() => assign('vf:coffee', 'web'), { code: 'invalid' }],
    [() => assign(VF0, 'nobody'), { code: 'not-found' }],
    [() => release(VF0), { code: 'not-found' }],
  ];
  for (const [attempt, error] of refusals) await expect(attempt()).rejects.toMatchObject(error);
  expect((await list()).physical.map(({ wanted }) => wanted)).toEqual([2, null]);
});

test('a change that blocks in the kernel is told after its time, and no other one begins meanwhile', async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const model = new SriovModel([card]);
  model.hold = (path) => (path.endsWith('sriov_numvfs') ? promise : undefined);
  const { list, set } = withModel(model, { change: 20 });
  await expect(set(4)).rejects.toMatchObject({ code: 'unavailable', message: expect.stringContaining('takes longer') });
  await expect(set(2)).rejects.toMatchObject({ code: 'conflict', message: expect.stringContaining('being changed') });
  // Who looks is not kept waiting.
  expect((await list()).physical[0]!.virtual).toEqual([]);
  model.hold = () => undefined;
  resolve();
  await eventually(async () => (await list()).physical[0]!.virtual.length === 4);
  await eventually(() => set(0).catch(() => undefined));
});

test('a function that the host kernel gives away itself is leased and reset, and no vfio-pci has it', async () => {
  const { launched, list, assign, removed, model, set } = withModel();
  await set(2);
  await expect(launched('web', [VF0], 'host')).resolves.toEqual({
    devices: [{ address: VF0, name: null, group: null }],
  });
  expect(model.functions.get(VF0)!.driver).toBeNull();
  await expect(assign(VF0, 'other')).rejects.toMatchObject({ code: 'conflict' });
  await removed('web');
  expect((await list()).leases).toEqual([]);
  expect(model.writes).toContain(`devices/${VF0}/reset 1`);
  // One that VFIO has from before is taken from it.
  await launched('web', [VF0], 'boot');
  expect(model.functions.get(VF0)!.driver).toBe('vfio-pci');
  await launched('web', [VF0], 'host');
  expect(model.functions.get(VF0)!.driver).toBeNull();
  await removed('web');
});

test('a lease: one owner, vfio-pci, reset before the next, with a generation', async () => {
  const { restart, list, assign, release, removed, model, set } = withModel();
  await set(3);
  const lease = await assign(VF0, 'web');
  expect(lease).toMatchObject({ address: VF0, physicalFunction: PF, generation: 1, state: 'leased' });
  expect(model.functions.get(VF0)!.driver).toBe('vfio-pci');
  await expect(assign(VF0, 'other')).rejects.toMatchObject({
    code: 'conflict',
    message: `${VF0} cannot be had: it is web's`,
  });
  expect(await assign('vf:nvme', 'other')).toMatchObject({ address: '0000:3b:00.2' });
  await expect(assign('vf:nvme', 'other')).resolves.toBeDefined();
  // One more is another one.
  expect((await list()).leases).toHaveLength(3);
  // It outlives the daemon.
  await restart();
  await expect(assign(VF0, 'other')).rejects.toMatchObject({ code: 'conflict' });
  await release(VF0);
  expect(model.functions.get(VF0)!.resets).toBe(1);
  expect(model.functions.get('0000:3b:00.2')!.resets).toBe(0);
  expect(await assign(VF0, 'other')).toMatchObject({ generation: 2, owner: 'other' });
  // With its owner a lease ends; all at the same time, since each takes 100 ms.
  await removed('other');
  await eventually(async () => (await list()).leases.length === 0);
  expect(model.mostResetsAtOnce).toBe(3);
});

test('what cannot be reset, or is silent afterwards, is given to nobody until it can', async () => {
  const { list, assign, release, model, set } = withModel();
  await set(1);
  await assign(VF0, 'web');
  model.silent.add(VF0);
  await expect(release(VF0)).rejects.toMatchObject({ message: expect.stringContaining('all ones') });
  model.silent.clear();
  model.unresettable.add(VF0);
  await expect(release(VF0)).rejects.toMatchObject({ message: expect.stringContaining('ENOTTY') });
  await expect(assign(VF0, 'web')).rejects.toMatchObject({ code: 'conflict' });
  await expect(assign('vf:any', 'web')).rejects.toMatchObject({ code: 'conflict' });
  expect((await list()).leases).toMatchObject([{ state: 'failed', owner: 'web' }]);
  model.unresettable.clear();
  await release(VF0);
  expect((await list()).leases).toEqual([]);
});

test('a function that vfio-pci does not take is left as it was', async () => {
  const model = new SriovModel([card]);
  model.add('0000:00:05.0', { driver: 'nvme' });
  model.failing.add('vfio-pci');
  const { assign, list } = withModel(model, { bind: 30 });
  await expect(assign('0000:00:05.0', 'web')).rejects.toMatchObject({
    code: 'unavailable',
    message: expect.stringContaining('did not take'),
  });
  expect(model.functions.get('0000:00:05.0')).toMatchObject({ driver: 'nvme', override: '' });
  expect((await list()).leases).toEqual([]);
});

test('what an IOMMU cannot tell apart goes together or not at all; bridges and physical functions in use never', async () => {
  const model = new SriovModel([card]);
  model.add('0000:00:05.0', { driver: 'nvme' });
  model.add('0000:00:05.1', { with: '0000:00:05.0' });
  model.add('0000:00:1c.0', { kind: '0x060400', driver: 'pcieport', with: '0000:00:05.0' });
  const { list, assign, set } = withModel(model);
  const give = (device: string) => assign(device, 'web');
  await expect(give('0000:00:05.0')).rejects.toMatchObject({
    code: 'unsupported',
    message: expect.stringContaining('0000:00:05.1'),
  });
  expect(model.functions.get('0000:00:05.0')!.driver).toBe('nvme');
  await expect(give('0000:00:1c.0')).rejects.toMatchObject({ code: 'unsupported' });
  await set(1);
  await expect(give(PF)).rejects.toMatchObject({
    code: 'unsupported',
    message: expect.stringContaining('end with it'),
  });
  model.hasIommu = false;
  await expect(give(VF0)).rejects.toMatchObject({ code: 'unavailable', message: expect.stringContaining('IOMMU') });
  model.hasIommu = true;
  model.drivers.delete('vfio-pci');
  await expect(give(VF0)).rejects.toMatchObject({ hint: 'Load it: modprobe vfio-pci' });
  expect((await list()).leases).toEqual([]);
});

test('a daemon that ends at any step of a return does it again: nothing is free that was not reset', async () => {
  const { restart, list, assign, release, model, set } = withModel();
  await set(1);
  await assign(VF0, 'web');
  const { promise, resolve } = Promise.withResolvers<void>();
  model.hold = (path) => (path.endsWith('/reset') ? promise : undefined);
  const cutOff = release(VF0).catch(() => 'cut off');
  await eventually(() => model.resetsNow === 1);
  expect((await list()).leases).toMatchObject([{ state: 'returning' }]);
  model.hold = () => undefined;
  const again = restart();
  resolve();
  await again;
  await cutOff;
  await eventually(async () => (await list()).leases.length === 0);
  expect(model.functions.get(VF0)!.resets).toBeGreaterThanOrEqual(1);
});

test('a card that is pulled out takes its functions along: what was leased of it is told, and can be given back', async () => {
  const { model, list, set, assign, release, plan } = withModel();
  await set(2);
  await assign(VF0, 'web');
  for (const address of [...model.functions.keys()]) model.functions.delete(address);
  expect(await list()).toMatchObject({ physical: [], leases: [{ address: VF0, owner: 'web', state: 'leased' }] });
  expect(await plan()).toMatchObject([{ obstacle: 'there is no such function' }]);
  await expect(assign(VF0, 'other')).rejects.toMatchObject({ code: 'not-found' });
  await release(VF0);
  expect((await list()).leases).toEqual([]);
});

test('another function at the address of a leased one is not taken for it', async () => {
  const { model, set, assign, list } = withModel();
  await set(2);
  await assign(VF0, 'web');
  model.functions.get(VF0)!.physical = model.functions.get('0000:3b:00.2')!;
  await expect(assign(VF0, 'web')).rejects.toMatchObject({
    code: 'conflict',
    message: expect.stringContaining('another function has its address now'),
  });
  expect((await list()).leases).toHaveLength(1);
});

test('an instance that is changed loses the functions that it is to have no more, and no others', async () => {
  const model = new SriovModel([card]);
  const { client, create, daemon } = await startDaemon({
    functions: { sysfs: model, take: () => {}, drop: () => {} },
  });
  const { supervisor } = daemon;
  await client.setVirtualFunctions({ address: PF, count: 4 }, () => {});
  const leased = async () => (await client.functions()).leases.map(({ address }) => address).sort();
  const change = async (devices: string[]) => {
    const { spec } = supervisor.get('web').record;
    await supervisor.update(new Map([['web', { spec: { ...spec, devices } }]]), null);
    return leased();
  };
  const [second, third] = ['0000:3b:00.2', '0000:3b:00.3'];
  await create({ name: 'web', command: ['sleep', '1000'], devices: [VF0, 'vf:nvme'], start: false });
  await client.assignFunction({ device: third, to: 'web' });
  expect(await leased()).toEqual([VF0, second, third]);
  expect(await change([VF0, 'vf:nvme'])).toEqual([VF0, second, third]);
  expect(await change(['vf:nvme'])).toEqual([second, third]);
  expect(model.writes).toContain(`devices/${VF0}/reset 1`);
  expect(await change([])).toEqual([third]);
  await client.releaseFunction(third);
  await create({ name: 'named', command: ['sleep', '1000'], devices: ['vf:nvme=a', 'vf:nvme=b'], start: false });
  const names = async () => (await client.functions()).leases.map(({ name }) => name);
  expect(await names()).toEqual(['a', 'b']);
  const { spec } = supervisor.get('named').record;
  await supervisor.update(new Map([['named', { spec: { ...spec, devices: ['vf:nvme=b'] } }]]), null);
  expect(await names()).toEqual(['b']);
});

test('an instance gets its functions with its kernel, from its own node first, and loses them with itself', async () => {
  const far = { address: '0000:5e:00.0', firstVirtual: '0000:5e:00.1', most: 4, node: 1 };
  const model = new SriovModel([card, far]);
  const lease = { take: () => {}, drop: () => {} };
  const { client, create, home, crashAndRestart } = await startDaemon({ functions: { sysfs: model, ...lease } });
  for (const address of [PF, far.address]) await client.setVirtualFunctions({ address, count: 2 }, () => {});
  const command = ['sleep', '1000'];
  await create({ name: 'web', command, devices: [`${VF0}=nic0`, 'vf:nvme'] });
  const launched = async (id: string): Promise<{ launch: LaunchSpec }> =>
    JSON.parse(await readFile(join(home, 'instances', id.slice(0, 12), 'launch.json'), 'utf8'));
  const { id } = await eventually(async () => {
    const status = await client.inspect('web');
    return status.state === 'running' && status;
  });
  expect((await launched(id)).launch.devices).toEqual([
    { address: VF0, group: model.functions.get(VF0)!.group, name: 'nic0' },
    { address: '0000:3b:00.2', group: model.functions.get('0000:3b:00.2')!.group, name: null },
  ]);
  // All or none, and nobody else's; while its kernel runs nobody takes them back.
  await expect(create({ name: 'more', command, devices: ['vf:nvme', VF0] })).rejects.toMatchObject({
    code: 'conflict',
  });
  await expect(create({ name: 'none', command, devices: ['vf:network'] })).rejects.toMatchObject({ code: 'conflict' });
  await expect(create({ name: 'bad', command, devices: ['3b:00'] })).rejects.toMatchObject({ code: 'invalid' });
  await expect(create({ name: 'bad', command, devices: ['vf:x'] })).rejects.toMatchObject({ code: 'invalid' });
  await expect(client.releaseFunction(VF0)).rejects.toMatchObject({ code: 'conflict' });
  expect((await client.functions()).leases).toHaveLength(2);
  await crashAndRestart();
  expect((await client.functions()).leases.map(({ owner }) => owner)).toEqual(['web', 'web']);
  await client.remove('web', { force: true });
  await eventually(async () => (await client.functions()).leases.length === 0);
  expect(model.functions.get(VF0)!.resets).toBe(1);
});

test('functions of the pool go to the kernel whose partition has them; what is leased is in no pool', async () => {
  const model = new SriovModel([card]);
  const lease = { take: () => {}, drop: () => {} };
  const [owned, leased] = ['0000:3b:00.2', '0000:3b:00.3'];
  const devices = [owned, leased].map((address) => ({ address, physicalFunction: PF, class: 0x010802 }));
  const readTopology = () => modelHost({ coresPerL3: 8, threads: 1, memoryBytesPerNode: 2 ** 34, devices });
  const host = { ...HOST, readTopology };
  const { client, create, home } = await startDaemon({ host, functions: { sysfs: model, ...lease } });
  await client.setVirtualFunctions({ address: PF, count: 3 }, () => {});
  const nothing = { cpus: [], sharedCpus: [], memory: { kind: 'share' } } as const;
  await client.initPool({ cpus: [2, 3], sharedCpus: [], memory: { kind: 'size', bytes: 2 ** 30 }, devices: [owned!] });
  await create({ name: 'other', command: ['true'], start: false });
  await expect(client.assignFunction({ device: owned!, to: 'other' })).rejects.toMatchObject({
    message: `${owned} cannot be had: it is in use by the pool`,
  });
  await client.assignFunction({ device: leased!, to: 'other' });
  await expect(client.growPool({ ...nothing, devices: [leased!] })).rejects.toMatchObject({
    message: expect.stringContaining('leased to other'),
  });
  const partition = {
    cpus: { kind: 'count', count: 1, numa: null, smt: 'whole-core', cache: 'any', near: null },
    memory: { kind: 'size', bytes: 2 ** 28, node: null, hugePageBytes: null },
    devices: [{ kind: 'class', class: 'nvme', count: 1, function: 'virtual' }],
  } as const;
  const { id } = await create({ name: 'web', command: ['sleep', '1000'], partition });
  await eventually(async () => (await client.inspect('web')).state === 'running');
  const { launch } = JSON.parse(await readFile(join(home, 'instances', id.slice(0, 12), 'launch.json'), 'utf8'));
  expect(launch.devices).toMatchObject([{ address: owned }]);
  expect((await client.functions()).leases.map(({ address, owner }) => [address, owner])).toContainEqual([
    owned,
    'web',
  ]);
});

test('pk-sysfs reads, lists and writes below its directory and nowhere else, and a write that blocks keeps nobody waiting', async () => {
  const root = await mkdtemp(join(tmpdir(), 'pk-sysfs-'));
  ends.push(() => rm(root, { recursive: true }));
  const device = `bus/pci/devices/${PF}`;
  await mkdir(join(root, device), { recursive: true });
  await writeFile(join(root, device, 'vendor'), '0x1b36\nmore\n');
  await writeFile(join(root, device, 'strange'), 'a\tb\x1b[31m');
  await writeFile(join(root, device, 'config'), Buffer.from([1, 2, 3, 4, 5, 6, 7, 0x80, 9, 10]));
  await symlink('../../../drivers/nvme', join(root, device, 'driver'));
  await run(['mkfifo', join(root, device, 'blocks')]);
  const sysfs = hostSysfs(root);
  ends.push(() => sysfs.close());
  expect(await sysfs.read(device, ['vendor', 'driver', 'absent', 'strange'])).toEqual([
    ...['0x1b36', 'nvme', undefined],
    'a?b?[31m',
  ]);
  expect((await sysfs.list(device)).sort()).toEqual(['blocks', 'config', 'driver', 'strange', 'vendor']);
  expect(await sysfs.list('none')).toEqual([]);
  expect(await sysfs.lines(`${device}/vendor`)).toEqual(['0x1b36', 'more']);
  expect(await sysfs.lines(`${device}/absent`)).toEqual([]);
  expect(await sysfs.bytes(`${device}/config`, 4)).toBe(0x80070605);
  await expect(sysfs.bytes(`${device}/config`, 8)).rejects.toMatchObject({ code: 'ENODATA' });
  const blocked = sysfs.write(`${device}/blocks`, '8');
  await sysfs.write(`${device}/vendor`, '0x8086');
  expect(await sysfs.slowRead(`${device}/vendor`)).toBe('0x8086');
  for (const path of ['/etc/passwd', '../x', 'bus/../../x', ''])
    await expect(sysfs.slowRead(path)).rejects.toMatchObject({ code: 'EINVAL' });
  await expect(sysfs.write(`${device}/none`, '1')).rejects.toMatchObject({ code: 'ENOENT' });
  expect(await readFile(join(root, device, 'blocks'), 'utf8')).toBe('8\n');
  await blocked;
});
