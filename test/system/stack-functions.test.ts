/** What plans say of what is gone from the machine: PCI functions and CPUs; and of functions that are somebody else's. */
import { expect, onTestFinished, test, vi } from 'vitest';
import { Functions } from '../../src/sriov/manager.ts';
import type { Plan, StackSource } from '../../src/stack/contract.ts';
import type { Topology } from '../../src/topology/index.ts';
import { eventually, HOST, startDaemon } from '../support/harness.ts';
import { networkCard } from '../support/machines.ts';
import { SriovModel } from '../support/sriov-model.ts';

const PF = '0000:3b:00.0';
const [VF0, VF1] = ['0000:3b:00.1', '0000:3b:00.2'] as const;
const CARD = '0000:5e:00.0';
const actions = ({ kernels }: Plan) => Object.fromEntries(kernels.map(({ name, action }) => [name, action]));
const refusals = ({ refused }: Plan) => refused.map(({ name, field, message }) => `${name} ${field}: ${message}`);
const absent = ({ advice }: Plan) => advice.filter(({ id }) => id === 'absent-function').map(({ subject }) => subject);

const source = (defaultName: string, text: string): StackSource => ({
  ...{ text, defaultName },
  file: 'test.yaml',
  directory: '/tmp',
});
const kernel = (name: string, more: string) => `  ${name}: {driver: fake, command: [sleep, inf], ${more}}\n`;

/** A machine from which functions can be pulled. */
async function started() {
  const model = new SriovModel([{ address: PF, firstVirtual: VF0, most: 8, node: 0, class: '0x020000' }]);
  model.add(CARD, { driver: null });
  const virtual = [VF0, VF1].map((address) => networkCard(address, { node: 0, physicalFunction: PF }));
  let pci: Topology['pci'] = [...virtual, networkCard(CARD, { node: 0 })];
  const test = await startDaemon({
    functions: { sysfs: model, take: () => {}, drop: () => {} },
    host: { ...HOST, readTopology: () => ({ ...HOST.readTopology(), pci }) },
  });
  await test.client.setVirtualFunctions({ address: PF, count: 2 }, () => {});
  const pull = (address: string) => {
    pci = pci.filter((each) => each.address !== address);
  };
  return { ...test, pull };
}

test('a function that is gone is refused to what takes it, and told of what stays as it is', async () => {
  const { client, pull } = await started();
  const shop = (more = '') => source('shop', `kernels:\n${kernel('web', `devices: ["${VF0}"]`)}${more}`);
  await client.apply(shop());
  await eventually(async () => (await client.inspect('web')).state === 'running');
  pull(VF0);
  const same = await client.plan(shop());
  expect([actions(same), same.refused, same.steps, absent(same)]).toEqual([{ web: 'keep' }, [], [], ['web']]);
  // What is new beside it is not held back by that.
  expect(actions(await client.apply(shop(kernel('db', `devices: ["${VF1}"]`))))).toEqual({ web: 'keep', db: 'create' });
  const changed = await client.plan(source('shop', `kernels:\n${kernel('web', `devices: ["${VF0}"], cpus: 2`)}`));
  expect([refusals(changed), absent(changed)]).toEqual([[`web devices[0]: there is no PCI function ${VF0}`], []]);
});

test('what another has is refused by the plan, unless the plan takes it from that one', async () => {
  const { client } = await started();
  const web = kernel('web', `devices: ["${VF0}"]`);
  const db = kernel('db', `devices: ["${VF0}"]`);
  await client.apply(source('shop', `kernels:\n${web}`));
  const other = await client.plan(source('other', `kernels:\n${db}`));
  expect(refusals(other)).toEqual([`db devices[0]: ${VF0} cannot be had: it is leased to web`]);
  expect(other.steps).toEqual([]);
  expect((await client.plan(source('shop', `kernels:\n${kernel('web', 'cpus: 1')}${db}`))).refused).toEqual([]);
  const handed = await client.apply(source('shop', `kernels:\n${db}`));
  expect(actions(handed)).toEqual({ db: 'create', web: 'remove' });
  expect((await client.functions()).leases).toMatchObject([{ address: VF0, owner: 'db' }]);
});

test('virtual functions of a kind are counted: who finds none left is refused, with who has them', async () => {
  const { client } = await started();
  const [any, network, byAddress] = ['vf:any', 'vf:network', VF0].map((wish) => `devices: ["${wish}"]`);
  const shop = (...kernels: [name: string, devices: string][]) =>
    source('shop', `kernels:\n${kernels.map(([name, devices]) => kernel(name, devices)).join('')}`);
  const none = await client.plan(shop(['web', 'devices: ["vf:nvme"]']));
  expect(none.refused).toEqual([
    {
      ...{ name: 'web', field: 'devices[0]' },
      message: 'no virtual function of the kind nvme is free: there are none',
      hint: 'Make some: pk sriov enable ADDRESS --vfs N.',
    },
  ]);
  expect(none.steps).toEqual([]);
  // One by its address comes before those of a kind.
  const three = await client.plan(shop(['web', any!], ['db', byAddress!], ['log', network!]));
  expect(refusals(three)).toEqual([
    'log devices[0]: no virtual function of the kind network is free: of 2 there are db 1, web 1',
  ]);
  const two = [
    ['web', any!],
    ['log', network!],
  ] as const satisfies [string, string][];
  expect(actions(await client.apply(shop(...two)))).toEqual({ web: 'create', log: 'create' });
  expect((await client.plan(shop(...two))).refused).toEqual([]);
  expect(refusals(await client.plan(source('other', `kernels:\n${kernel('db', network!)}`)))).toEqual([
    'db devices[0]: no virtual function of the kind network is free: of 2 there are web 1, log 1',
  ]);
  await expect(client.tryOut({ command: ['true'], driver: 'fake', devices: ['vf:network'] })).rejects.toMatchObject({
    ...{ code: 'conflict', field: 'device', value: 'vf:network' },
    message: 'no virtual function of the kind network is free: of 2 there are web 1, log 1',
    hint: expect.stringContaining('Release one: pk sriov release VF'),
  });
  // What the plan itself gives up is free, to a kernel in another's place too.
  expect(refusals(await client.plan(shop(['web', any!], ['db', network!])))).toEqual([]);
  expect(refusals(await client.plan(shop(['web', `${network}, cpus: 2`], ['log', `${any}, cpus: 2`])))).toEqual([]);
});

test('a pool stays as it is though a function of it is gone, and who has that one keeps it', async () => {
  const { client, pull } = await started();
  const shop = (devices: string, more = '') =>
    source(
      'shop',
      `pool: {cpus: 2-7, memory: 1GiB, devices: [${devices}]}
kernels:
${kernel('web', 'partition: {cpus: 2, memory: 128MiB, devices: [{class: network}]}')}${more}`,
    );
  await client.apply(shop(`"${CARD}"`));
  pull(CARD);
  const same = await client.plan(shop(`"${CARD}"`));
  expect([actions(same), same.refused, absent(same)]).toEqual([{ web: 'keep' }, [], ['web']]);
  // Another that the pool is to have has to be there.
  expect(refusals(await client.plan(shop(`"${CARD}", "0000:5f:00.0"`)))).toEqual([
    expect.stringContaining('there is no PCI function 0000:5f:00.0'),
  ]);
  const grown = { cpus: [1], sharedCpus: [], memory: { kind: 'size', bytes: 2 ** 20 } as const, devices: [] };
  expect((await client.growPool(grown)).pool).toMatchObject({ cpus: [1, 2, 3, 4, 5, 6, 7], devices: [CARD] });
});

test('a CPU of the pool that is offline by now holds no plan back; another that is to come has to be there', async () => {
  let offline = new Set<number>();
  const readTopology = (): Topology => {
    const seen = HOST.readTopology();
    return { ...seen, cpus: seen.cpus.map((cpu) => ({ ...cpu, online: !offline.has(cpu.id) })) };
  };
  const { client } = await startDaemon({ host: { ...HOST, readTopology } });
  const shop = (more = '') =>
    source(
      'shop',
      `pool: {cpus: "2-5${more}", memory: 1GiB}
kernels:
${kernel('web', 'partition: {cpus: 1, memory: 128MiB}')}`,
    );
  await client.apply(shop());
  offline = new Set([5, 6]);
  const same = await client.plan(shop());
  expect([same.refused, same.steps]).toEqual([[], []]);
  expect(refusals(await client.plan(shop(',6')))).toEqual([expect.stringContaining('CPU 6 is offline')]);
});

test('what a changed file takes away is given back also by the next daemon, where one ends before', async () => {
  const test = await started();
  const { client } = test;
  const shop = (...devices: string[]) =>
    source('shop', `kernels:\n${kernel('web', `devices: [${devices.map((each) => `"${each}"`).join()}]`)}`);
  await client.apply(shop(VF0, VF1));
  await eventually(async () => (await client.inspect('web')).state === 'running');
  const asked = Promise.withResolvers<void>();
  vi.spyOn(Functions.prototype, 'giveBackUnwished').mockImplementationOnce(() => {
    asked.resolve();
    return new Promise(() => {});
  });
  onTestFinished(() => void vi.restoreAllMocks());
  const applied = client.apply(shop(VF0)).catch(() => {});
  await asked.promise;
  await test.crashAndRestart();
  await applied;
  const leased = async () => (await client.functions()).leases.map(({ address }) => address);
  expect(await leased()).toEqual([VF0]);
  await client.remove('web', { force: true });
});
