/** CPUs and memory that change hands between kernels, through a whole daemon on the fake driver. */
import { text } from 'node:stream/consumers';
import { setImmediate as turn } from 'node:timers/promises';
import { expect, it } from 'vitest';
import type { CreateRequest } from '../../src/instance/contract.ts';
import { parseCpuList } from '../../src/sys/cpu-list.ts';
import { eventually, startDaemon, type TestDaemon, untilState } from '../support/harness.ts';

const MIB = 2 ** 20;
const ELASTIC = { cpus: { min: 1, max: 4 }, memoryBytes: { min: 128 * MIB, max: 512 * MIB } };
const OWNED = (cpus: number): Partial<CreateRequest> => ({
  elastic: ELASTIC,
  partition: {
    cpus: { kind: 'count', count: cpus, numa: null, smt: 'any', cache: 'any', near: null },
    memory: { kind: 'size', bytes: 256 * MIB, node: null, hugePageBytes: null },
    devices: [],
  },
});
const command = ['sleep', 'inf'];

/** Two kernels that own CPUs of the pool 2-7, and what is left free. */
async function withTwo(): Promise<TestDaemon> {
  const test = await startDaemon();
  await test.client.initPool({
    cpus: [2, 3, 4, 5, 6, 7],
    sharedCpus: [],
    memory: { kind: 'size', bytes: 2048 * MIB },
    devices: [],
  });
  for (const name of ['web', 'batch']) {
    await test.create({ name, command, ...OWNED(2) });
    await untilState(test, name, 'running');
  }
  return test;
}

/** What each has: as recorded, as the ledger and as its kernel say. All must agree. */
async function sizes({ client }: TestDaemon): Promise<Record<string, [cpus: number, mib: number]>> {
  const { partitions } = await client.pool();
  const owned = Object.values(partitions).flatMap(({ cpus }) => cpus);
  expect(new Set(owned).size).toBe(owned.length);
  const all: Record<string, [number, number]> = {};
  for (const name of ['web', 'batch']) {
    const { size, placement, real, spec } = await client.inspect(name);
    const online = await text(await client.getFile(name, '/sys/devices/system/cpu/online'));
    expect(parseCpuList(online)).toHaveLength(size.cpus);
    expect(placement!.vcpuCpus).toHaveLength(size.cpus);
    expect([...placement!.vcpuCpus].sort()).toEqual(partitions[name]!.cpus);
    // What is offline has no CPU of its own.
    const first = placement!.vcpuCpus[0];
    const vcpus = Array.from({ length: spec.elastic!.cpus!.max }, (_, vcpu) => [placement!.vcpuCpus[vcpu] ?? first]);
    expect(real!.vcpus).toEqual(vcpus);
    const bytes = partitions[name]!.memory.reduce((sum, each) => sum + each.bytes, 0);
    expect(bytes).toBe(size.memoryBytes);
    all[name] = [size.cpus, size.memoryBytes / MIB];
  }
  return all;
}

it('moves CPUs and memory between two kernels, and from and to the pool', async () => {
  const test = await withTwo();
  const { client } = test;
  const report = await client.move({ resource: 'cpu', from: 'batch', to: 'web', amount: 1 });
  expect(report.sizes).toEqual([
    { name: 'batch', before: { cpus: 2, memoryBytes: 256 * MIB }, after: { cpus: 1, memoryBytes: 256 * MIB } },
    { name: 'web', before: { cpus: 2, memoryBytes: 256 * MIB }, after: { cpus: 3, memoryBytes: 256 * MIB } },
  ]);
  expect(await sizes(test)).toEqual({ web: [3, 256], batch: [1, 256] });
  await client.move({ resource: 'memory', from: 'web', to: 'batch', amount: 64 * MIB });
  expect(await sizes(test)).toEqual({ web: [3, 192], batch: [1, 320] });
  await client.move({ resource: 'cpu', from: 'pool', to: 'web', amount: 1 });
  await client.resize('batch', { memoryBytes: 128 * MIB });
  expect(await sizes(test)).toEqual({ web: [4, 192], batch: [1, 128] });
  expect((await client.pool()).free.cpus).toHaveLength(1);
});

it('moves shares of a CPU between two kernels, and holds each to what it has', async () => {
  const test = await startDaemon();
  const { client } = test;
  const memory = { kind: 'size', bytes: 1024 * MIB } as const;
  await client.initPool({ cpus: [2, 3], sharedCpus: [3], memory, devices: [] });
  const shared = (milliCpus: number): Partial<CreateRequest> => ({
    elastic: { cpus: { min: 0.1, max: 0.9 } },
    partition: { ...OWNED(1).partition!, cpus: { kind: 'shared', milliCpus, weight: 100 } },
  });
  await test.create({ name: 'web', command, ...shared(250) });
  await test.create({ name: 'batch', command, ...shared(700) });
  await test.create({ name: 'whole', command, ...OWNED(1) });
  for (const name of ['web', 'batch', 'whole']) await untilState(test, name, 'running');
  const has = async (name: string) => {
    const { size, placement, real } = await client.inspect(name);
    expect(placement!.partition.shared!.milliCpus).toBe(Math.round(size.cpus * 1000));
    return [size.cpus, real!.mostCpus];
  };
  expect([await has('web'), await has('batch')]).toEqual([
    [0.25, 0.25],
    [0.7, 0.7],
  ]);
  await client.move({ resource: 'cpu', from: 'batch', to: 'web', amount: 0.6 });
  await client.move({ resource: 'cpu', from: 'pool', to: 'web', amount: 0.05 });
  expect([await has('web'), await has('batch')]).toEqual([
    [0.9, 0.9],
    [0.1, 0.1],
  ]);
  await expect(client.resize('batch', { cpus: 0.2 })).rejects.toMatchObject({ code: 'conflict' });
  await expect(client.move({ resource: 'cpu', from: 'web', to: 'whole', amount: 0.5 })).rejects.toMatchObject({
    message: 'web has a share of CPUs, and whole has whole ones',
  });
  await test.crashAndRestart();
  expect(await has('web')).toEqual([0.9, 0.9]);
});

it('says what it would do, and does nothing', async () => {
  const test = await withTwo();
  const { steps } = await test.client.move({ resource: 'cpu', from: 'batch', to: 'web', amount: 1, dryRun: true });
  expect(steps.map((step) => step.text)).toEqual([
    'shrink batch to 1 CPU',
    'record batch: CPU 5, 256 MiB; web: CPUs 2-4, 256 MiB',
    'grow web to 3 CPUs',
  ]);
  expect(await sizes(test)).toEqual({ web: [2, 256], batch: [2, 256] });
});

it.each([
  [{ resource: 'cpu', from: 'batch', to: 'web', amount: 2 }, 'invalid', 'batch cannot have 0 CPUs: it may have 1 to 4'],
  [{ resource: 'memory', from: 'batch', to: 'web', amount: 200 * MIB }, 'invalid', 'batch cannot have 56 MiB'],
  [{ resource: 'memory', from: 'batch', to: 'web', amount: MIB + 1 }, 'invalid', 'whole MiB'],
  [{ resource: 'cpu', from: 'batch', to: 'batch', amount: 1 }, 'invalid', 'both who gives and who gets'],
  [{ resource: 'cpu', from: 'nobody', to: 'web', amount: 1 }, 'not-found', 'nobody'],
  [{ resource: 'cpu', from: 'plain', to: 'web', amount: 1 }, 'conflict', 'plain owns nothing'],
] as const)('refuses %j and leaves all as it was', async (request, code, message) => {
  const test = await withTwo();
  await test.create({ name: 'plain', command, cpus: 2, elastic: ELASTIC });
  await expect(test.client.move(request)).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
  expect(await sizes(test)).toEqual({ web: [2, 256], batch: [2, 256] });
});

it('keeps its size over a restart, and until it is declared anew', async () => {
  const test = await withTwo();
  await test.client.resize('web', { cpus: 4, memoryBytes: 512 * MIB });
  await test.client.restart('web', {});
  expect(await sizes(test)).toEqual({ web: [4, 512], batch: [2, 256] });
  await test.crashAndRestart();
  expect(await sizes(test)).toEqual({ web: [4, 512], batch: [2, 256] });
});

it('gives a kernel that does not run its size at the next start', async () => {
  const test = await withTwo();
  await test.client.stop('web', {});
  await test.client.move({ resource: 'cpu', from: 'batch', to: 'web', amount: 1 });
  await test.client.start('web');
  expect(await sizes(test)).toEqual({ web: [3, 256], batch: [1, 256] });
});

it('holds nobody back who wants nothing of a guest that gives nothing', async () => {
  const test = await withTwo();
  const { client } = test;
  await test.create({ name: 'miser', hostname: 'never-gives', command, ...OWNED(2) });
  await untilState(test, 'miser', 'running');
  const lines: string[] = [];
  const request = { resource: 'cpu', from: 'miser', to: 'pool', amount: 1 } as const;
  const stuck = client.move(request, (line) => void lines.push(line));
  const failed = expect(stuck).rejects.toMatchObject({ code: 'kernel-died' });
  await eventually(() => lines.some((line) => line.includes('shrink miser')));
  await client.move({ resource: 'cpu', from: 'batch', to: 'web', amount: 1 });
  await client.growPool({ cpus: [1], sharedCpus: [], memory: { kind: 'size', bytes: MIB }, devices: [] });
  expect(await sizes(test)).toEqual({ web: [3, 256], batch: [1, 256] });
  await client.kill('miser', {});
  await failed;
  const { partitions } = await client.pool();
  expect(partitions.miser!.cpus).toHaveLength(2);
});

it('takes CPUs from a guest that does not let go of them', async () => {
  const test = await withTwo();
  const { client } = test;
  await test.create({ name: 'miser', hostname: 'refuses', command, ...OWNED(2) });
  await untilState(test, 'miser', 'running');
  await client.move({ resource: 'cpu', from: 'miser', to: 'web', amount: 1 });
  expect(await sizes(test)).toEqual({ web: [3, 256], batch: [2, 256] });
  const { placement, real, size } = await client.inspect('miser');
  expect(size.cpus).toBe(1);
  expect(placement!.vcpuCpus).toHaveLength(1);
  expect(real!.vcpus).toEqual([1, 2, 3, 4].map(() => placement!.vcpuCpus));
});

it('leaves every CPU and byte with one owner, wherever the daemon is killed', async () => {
  const test = await withTwo();
  for (let turns = 0; turns < 48; turns += 2) {
    const toWeb = turns % 4 === 0;
    const [from, to] = toWeb ? ['batch', 'web'] : ['web', 'batch'];
    const moving = Promise.allSettled([
      test.client.move({ resource: 'cpu', from, to, amount: 1 }),
      test.client.move({ resource: 'memory', from: to, to: from, amount: 16 * MIB }),
    ]);
    for (let waited = 0; waited < turns; waited++) await turn();
    await test.crashAndRestart();
    await moving;
    // Waits for what the daemon takes up.
    await test.client.move({ resource: 'cpu', from: 'pool', to: 'web', amount: 1, dryRun: true });
    const { web, batch } = await sizes(test);
    expect([web![0] + batch![0], web![1] + batch![1]]).toEqual([4, 512]);
    await test.client.resize('web', { cpus: 2, memoryBytes: 256 * MIB });
    await test.client.resize('batch', { cpus: 2, memoryBytes: 256 * MIB });
  }
}, 120_000);
