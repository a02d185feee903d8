/** Pool, plan, apply and destroy through the API of a whole daemon, on the fake driver. */
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { FakeDriver, fakeKernels, killFakeKernel } from '../../src/driver/fake/driver.ts';
import { FakeKernel } from '../../src/driver/fake/kernel.ts';
import { NotGone } from '../../src/driver/index.ts';
import type { Plan, StackSource } from '../../src/stack/contract.ts';
import type { PolykernelError } from '../../src/sys/errors.ts';
import { eventually, startDaemon, type TestDaemon, untilState } from '../support/harness.ts';

const stack = (text: string): StackSource => ({ text, file: 'test.yaml', directory: '/tmp', defaultName: 'shop' });

/** Eight CPUs without SMT; see the harness. */
const THREE = `
pool: {cpus: 2-7, shared: 7, memory: 2GiB}
kernels:
  web: {driver: fake, command: [sleep, inf], partition: {cpus: 2, memory: 512MiB}, environment: {MODE: a}}
  db: {driver: fake, command: [sleep, inf], partition: {cpus: "5", memory: 256MiB}, restart: always}
  job: {driver: fake, command: [sleep, inf], partition: {cpus: {shared: 0.5}, memory: 128MiB}}
`;

const actions = (plan: Plan) => Object.fromEntries(plan.kernels.map(({ name, action }) => [name, action]));
const bootIds = async ({ client }: TestDaemon) =>
  Object.fromEntries((await client.list()).map(({ spec, bootId }) => [spec.name, bootId]));

describe('apply', () => {
  it('makes what is described; again it does nothing; destroy and release leave nothing', async () => {
    const test = await startDaemon();
    const { client } = test;
    const before = await client.plan(stack(THREE));
    expect(await client.list()).toEqual([]);
    expect(actions(before)).toEqual({ web: 'create', db: 'create', job: 'create' });
    expect(JSON.stringify(await client.plan(stack(THREE)))).toBe(JSON.stringify(before));
    const done = await client.apply(stack(THREE));
    expect(done).toEqual(before);
    const { partitions, free, housekeepingCpus } = await client.pool();
    expect(partitions.web?.cpus).toHaveLength(2);
    expect(partitions.db?.cpus).toEqual([5]);
    expect(partitions.job?.shared).toEqual({ cpus: [7], milliCpus: 500, weight: 100 });
    expect(housekeepingCpus).toEqual([0, 1]);
    expect(free.cpus).toHaveLength(2);
    const ids = await bootIds(test);
    const again = await client.apply(stack(THREE));
    expect(again.steps).toEqual([]);
    expect(actions(again)).toEqual({ web: 'keep', db: 'keep', job: 'keep' });
    expect(await bootIds(test)).toEqual(ids);
    await expect(client.releasePool()).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('db, job, web'),
    });
    await client.destroy('shop');
    expect(await client.list()).toEqual([]);
    await client.releasePool();
    await expect(client.pool()).rejects.toMatchObject({ code: 'not-found' });
  });

  it('changes only what differs: live where the table says so, with a restart where not', async () => {
    const test = await startDaemon();
    const { client } = test;
    await client.apply(stack(THREE));
    const ids = await bootIds(test);
    const live = THREE.replace('restart: always', 'restart: on-failure');
    const first = await client.apply(stack(live));
    expect(actions(first)).toEqual({ web: 'keep', db: 'change', job: 'keep' });
    expect(first.kernels[1]?.changes).toEqual([{ path: 'restart', before: 'always', after: 'on-failure', live: true }]);
    expect(await bootIds(test)).toEqual(ids);
    expect((await client.inspect('db')).spec.restart).toBe('on-failure');
    const restarted = await client.apply(stack(live.replace('MODE: a', 'MODE: b')));
    expect(actions(restarted)).toEqual({ web: 'replace', db: 'keep', job: 'keep' });
    const now = await bootIds(test);
    expect({ ...now, web: ids.web }).toEqual(ids);
    expect(now.web).not.toBe(ids.web);
    expect((await client.inspect('web')).spec.env.MODE).toBe('b');
    expect(JSON.stringify(restarted)).not.toContain('"b"');
  });

  it('moves a kernel to other CPUs while it runs, and lets two exchange theirs', async () => {
    const test = await startDaemon();
    const { client } = test;
    const two = (a: string, b: string) => `
pool: {cpus: 2-7, memory: 1GiB}
kernels:
  a: {driver: fake, command: [sleep, inf], partition: {cpus: "${a}", memory: 128MiB}}
  b: {driver: fake, command: [sleep, inf], partition: {cpus: "${b}", memory: 128MiB}}
`;
    await client.apply(stack(two('2', '3')));
    const ids = await bootIds(test);
    const swapped = await client.apply(stack(two('3', '2')));
    expect(actions(swapped)).toEqual({ a: 'change', b: 'change' });
    expect((await client.pool()).partitions.a?.cpus).toEqual([3]);
    expect((await client.inspect('a')).real?.vcpus).toEqual([[3]]);
    expect((await client.inspect('b')).real?.vcpus).toEqual([[2]]);
    expect(await bootIds(test)).toEqual(ids);
  });

  it('repairs what others changed', async () => {
    const test = await startDaemon();
    const { client } = test;
    await client.apply(stack(THREE));
    await client.stop('web');
    await client.pause('job');
    await client.remove('db', { force: true });
    const plan = await client.apply(stack(THREE));
    expect(actions(plan)).toEqual({ web: 'start', db: 'create', job: 'resume' });
    expect((await client.list()).map(({ state }) => state)).toEqual(['running', 'running', 'running']);
    expect((await client.apply(stack(THREE))).steps).toEqual([]);
  });

  it('does not start a job again that is done', async () => {
    const test = await startDaemon();
    const { client } = test;
    const job = stack('kernels:\n  job: {driver: fake, command: ["true"]}\n');
    await client.apply(job);
    await untilState(test, 'job', 'exited');
    expect((await client.apply(job)).steps).toEqual([]);
  });

  it('grows and shrinks the pool, and refuses by name to shrink it under an instance', async () => {
    const { client } = await startDaemon();
    await client.apply(stack(THREE));
    const wider = await client.apply(stack(THREE.replace('cpus: 2-7', 'cpus: 1-7')));
    expect(wider.pool.change?.before?.cpus).toEqual([2, 3, 4, 5, 6, 7]);
    expect((await client.pool()).housekeepingCpus).toEqual([0]);
    const shrink = { cpus: [5], sharedCpus: [], memory: { kind: 'share' as const }, devices: [] };
    await expect(client.shrinkPool(shrink)).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('db owns CPU 5'),
    });
    await client.shrinkPool({ ...shrink, cpus: [1] });
    expect((await client.pool()).housekeepingCpus).toEqual([0, 1]);
  });

  it('does nothing when anything is refused, and says what', async () => {
    const { client } = await startDaemon();
    await client.create({ name: 'db', driver: 'fake', command: ['sleep', 'inf'] });
    const error = await client.apply(stack(THREE.replace('cpus: 2,', 'cpus: 6,'))).catch((failure) => failure);
    expect(error).toMatchObject({ code: 'conflict', message: expect.stringContaining('nothing was done') });
    const { refused } = await client.plan(stack(THREE.replace('cpus: 2,', 'cpus: 6,')));
    expect(refused.map(({ name }) => name).sort()).toEqual(['db', 'web']);
    expect((await client.list()).map(({ spec }) => spec.name)).toEqual(['db']);
    await expect(client.pool()).rejects.toMatchObject({ code: 'not-found' });
  });

  it('advises on what is refused by the size that it would have', async () => {
    const { client } = await startDaemon();
    const text = 'kernels: {big: {driver: fake, command: [sleep, inf], cpus: 4000}}';
    const { refused, advice } = await client.plan(stack(text));
    expect(refused).toMatchObject([{ name: 'big', field: 'cpus' }]);
    expect(advice.filter(({ id }) => id === 'ram-per-core')).toMatchObject([
      { subject: 'big', message: expect.stringMatching(/^256 MiB \/ 4000 CPUs/) },
    ]);
  });

  it('two at once are carried out one after the other', async () => {
    const { client } = await startDaemon();
    const waiting: string[] = [];
    const both = await Promise.all([
      client.apply(stack(THREE)),
      client.apply(stack(THREE), (text) => waiting.push(text)),
    ]);
    expect(both.map((plan) => plan.steps.length > 0).sort()).toEqual([false, true]);
    expect((await client.list()).length).toBe(3);
  });

  it('holds nobody back while it waits for a kernel, but who wants the same', async () => {
    const test = await startDaemon();
    const { client } = test;
    const shop = (mode: string, db: string) =>
      stack(`
name: shop
pool: {cpus: 2-5, memory: 1GiB}
kernels:
  web: {driver: fake, command: [stubborn], stopGrace: 1h, environment: {MODE: ${mode}}}
  db: {driver: fake, command: [sleep, inf], partition: {cpus: "${db}", memory: 128MiB}}
`);
    const other = (name: string, cpus: string) =>
      stack(`
name: ${name}
kernels: {${name}: {driver: fake, command: [sleep, inf], partition: {cpus: ${cpus}, memory: 128MiB}}}
`);
    await client.apply(shop('a', '2'));
    const progress = { first: [] as string[], again: [] as string[], late: [] as string[] };
    const first = client.apply(shop('b', '2,3'), (text) => void progress.first.push(text));
    await eventually(async () => (await client.inspect('web')).state === 'stopping');
    expect(progress.first.some((line) => line.includes('stop web'))).toBe(true);

    // What it is to give to db is nobody else's, and the rest is anybody's.
    await client.apply(other('one', '1'));
    expect((await client.inspect('one')).placement!.partition.cpus).toEqual([4]);
    await client.growPool({ cpus: [1], sharedCpus: [], memory: { kind: 'size', bytes: 2 ** 20 }, devices: [] });
    const shrink = { cpus: [3], sharedCpus: [], memory: { kind: 'share' as const }, devices: [] };
    await expect(client.shrinkPool(shrink)).rejects.toMatchObject({
      message: expect.stringContaining('a change of db'),
    });
    await test.create({ name: 'run', command: ['sleep', 'inf'] });
    await untilState(test, 'run', 'running');
    expect((await client.list()).map(({ spec }) => spec.name)).toEqual(['web', 'db', 'one', 'run']);

    const again = client.apply(shop('b', '2,3'), (text) => void progress.again.push(text));
    const late = client.apply(other('late', '3'), (text) => void progress.late.push(text));
    const refused = expect(late).rejects.toMatchObject({ code: 'conflict' });
    const waits = (lines: string[]) => lines.includes('waiting for what is under way on the same');
    await eventually(() => waits(progress.again) && waits(progress.late));
    expect(progress.again).not.toContain('planning');

    await client.kill('web', {});
    expect((await first).steps).not.toEqual([]);
    expect(actions(await again)).toEqual({ web: 'keep', db: 'keep' });
    await refused;
    expect((await client.pool()).partitions.db?.cpus).toEqual([2, 3]);
    expect((await client.inspect('web')).spec.env.MODE).toBe('b');
  });

  it.each([
    ['its policy starts it again', 'running'],
    ['it is not proven to be gone', 'stuck'],
  ] as const)('waits for a kernel that is stopping no longer than until %s', async (_, end) => {
    const test = await startDaemon();
    const file = stack('kernels: {web: {driver: fake, command: [sleep, inf], restart: always}}');
    await test.client.apply(file);
    const stopped = Promise.withResolvers<never>();
    vi.spyOn(FakeKernel.prototype, 'stop').mockReturnValue(stopped.promise);
    onTestFinished(() => void vi.restoreAllMocks());
    await test.client.kill('web', { signal: 15 });
    await untilState(test, 'web', 'stopping');
    const progress: string[] = [];
    const applied = test.client
      .apply(file, (text) => void progress.push(text))
      .then(
        () => 'done',
        ({ code }: PolykernelError) => code,
      );
    await eventually(() => progress.some((line) => line.includes('start web: it is stopping')));
    if (end === 'stuck') stopped.reject(new NotGone('process 7 does not die', { value: 7, hint: '' }));
    else killFakeKernel(fakeKernels(test.home)[0]!);
    expect(await applied).toBe(end === 'stuck' ? 'conflict' : 'done');
    expect(await test.client.inspect('web')).toMatchObject({ state: end });
  });

  it('killed at any step, it converges when run again', async () => {
    const CHANGED =
      THREE.replace('MODE: a', 'MODE: b')
        .replace('cpus: "5"', 'cpus: "6"')
        .replace(/ {2}job.*\n/, '') +
      '  new: {driver: fake, command: [sleep, inf], partition: {cpus: {shared: 0.7}, memory: 128MiB}}\n';
    for (let at = 1; ; at++) {
      const test = await startDaemon();
      await test.client.apply(stack(THREE));
      let steps = 0;
      let crash: Promise<void> | undefined;
      await test.client
        .apply(stack(CHANGED), (text) => {
          if (!text.startsWith('[')) return;
          steps += 1;
          if (steps === at) crash = test.crashAndRestart();
        })
        .catch(() => {});
      if (crash === undefined) break;
      await crash;
      await test.client.apply(stack(CHANGED));
      const names = (await test.client.list()).map(({ spec }) => spec.name).sort();
      expect(names).toEqual(['db', 'new', 'web']);
      await eventually(async () => (await test.client.list()).every(({ state }) => state === 'running'));
      expect((await test.client.apply(stack(CHANGED))).steps).toEqual([]);
      expect((await test.client.pool()).partitions.db?.cpus).toEqual([6]);
      expect((await test.client.inspect('web')).spec.env.MODE).toBe('b');
    }
  });
});

describe('channels of a stack', () => {
  const RINGS = `
kernels:
  web: {driver: fake, command: [sleep, inf]}
  db: {driver: fake, command: [sleep, inf]}
channels: {orders: {from: web, to: db, size: 64KiB}, hints: {to: web}}
`;
  const channelActions = (plan: Plan) => Object.fromEntries(plan.channels.map(({ name, action }) => [name, action]));

  it('are made before the kernels that see them, kept, made anew when they change, and go with the stack', async () => {
    const test = await startDaemon();
    const { client } = test;
    const first = await client.apply(stack(RINGS));
    expect(first.steps.map(({ step }) => step.do)).toEqual(['create-channel', 'create-channel', 'create', 'create']);
    const [hints, orders] = await client.channels();
    expect(orders).toMatchObject({ stack: 'shop', from: { owner: 'web', visible: 'attached' }, sizeBytes: 2 ** 16 });
    expect(hints).toMatchObject({ from: { owner: 'host' }, to: { owner: 'web', visible: 'attached' } });
    expect((await client.apply(stack(RINGS))).steps).toEqual([]);
    const ids = await bootIds(test);

    // Its kernels can be given memory while they run: none is started again.
    const changed = await client.apply(stack(RINGS.replace('64KiB', '128KiB')));
    expect(channelActions(changed)).toEqual({ orders: 'replace', hints: 'keep' });
    expect(await client.channel('orders')).toMatchObject({ sizeBytes: 2 ** 17, to: { visible: 'attached' } });
    expect(await bootIds(test)).toEqual(ids);

    const fewer = await client.apply(stack(RINGS.replace(', hints: {to: web}', '')));
    expect(channelActions(fewer)).toEqual({ orders: 'replace', hints: 'remove' });
    await client.destroy('shop');
    expect(await client.channels()).toEqual([]);
  });

  it('that a kernel can only be given at its start restart it, with that reason', async () => {
    const test = await startDaemon({ drivers: [new FakeDriver({ capabilities: { sharedMemory: 'boot' } })] });
    const { client } = test;
    await client.apply(stack(RINGS.replace(', hints: {to: web}', '')));
    const ids = await bootIds(test);
    const grown = await client.apply(stack(RINGS));
    expect(actions(grown)).toEqual({ web: 'replace', db: 'keep' });
    expect(grown.kernels[0]?.why).toEqual(['it sees the channel hints only from its start on, which needs a restart']);
    const now = await bootIds(test);
    expect(now.db).toBe(ids.db);
    expect(now.web).not.toBe(ids.web);
    expect((await client.channel('hints')).to.visible).toBe('attached');
    expect((await client.apply(stack(RINGS))).steps).toEqual([]);
  });

  it('are refused where the name is taken or the driver has no shared memory', async () => {
    const test = await startDaemon({ drivers: [new FakeDriver({ capabilities: { sharedMemory: 'none' } })] });
    await test.client.createChannel({ name: 'orders' });
    const { refused, steps } = await test.client.plan(stack(RINGS));
    expect(steps).toEqual([]);
    expect(refused.map(({ name, message }) => `${name}: ${message}`)).toEqual([
      'channel orders: the name is taken by a channel that no stack owns',
      'web: fake has no shared memory for channel orders',
      'db: fake has no shared memory for channel orders',
      'web: fake has no shared memory for channel hints',
    ]);
    await expect(test.client.apply(stack(RINGS))).rejects.toMatchObject({ code: 'conflict' });
    expect(await test.client.channels()).toHaveLength(1);
  });

  it('converge after a daemon that was killed at any step', async () => {
    const test = await startDaemon();
    const { steps } = await test.client.plan(stack(RINGS));
    for (let step = 0; step < steps.length; step++) {
      const ending = new AbortController();
      const applying = test.client.apply(
        stack(RINGS),
        (text) => {
          if (text.startsWith(`[${step + 1}/`)) ending.abort();
        },
        ending.signal,
      );
      await applying.catch(() => {});
      await test.crashAndRestart();
      await test.client.apply(stack(RINGS));
      expect((await test.client.plan(stack(RINGS))).steps).toEqual([]);
      expect(await test.client.channels()).toHaveLength(2);
      await test.client.destroy('shop');
      expect(await test.client.channels()).toEqual([]);
    }
  });

  it.each<['boot' | 'hotplug', string, string]>([
    ['boot', '64KiB', '128KiB'],
    ['boot', ', hints: {to: web}', ''],
    ['boot', '{from: web, to: db,', '{from: db, to: web,'],
    ['hotplug', '64KiB', '128KiB'],
    ['hotplug', ', hints: {to: web}', ''],
  ])(
    'with memory at %s: a change of "%s" converges after a daemon that was killed at any step',
    async (sharedMemory, is, becomes) => {
      const test = await startDaemon({ drivers: [new FakeDriver({ capabilities: { sharedMemory } })] });
      const changed = stack(RINGS.replace(is, becomes));
      await test.client.apply(stack(RINGS));
      const { steps } = await test.client.plan(changed);
      expect(steps.length).toBeGreaterThan(0);
      for (let step = 0; step < steps.length; step++) {
        const ending = new AbortController();
        const applying = test.client.apply(
          changed,
          (text) => {
            if (text.startsWith(`[${step + 1}/`)) ending.abort();
          },
          ending.signal,
        );
        await applying.catch(() => {});
        await test.crashAndRestart();
        await test.client.apply(changed);
        expect((await test.client.plan(changed)).steps).toEqual([]);
        // What was being started when the daemon was killed is started anew, which is no step of the plan.
        await eventually(async () => {
          const ends = (await test.client.channels()).flatMap(({ from, to }) => [from.visible, to.visible]);
          return ends.every((visible) => visible === 'attached');
        });
        await test.client.destroy('shop');
        expect(await test.client.channels()).toEqual([]);
        await test.client.apply(stack(RINGS));
      }
    },
  );
});

describe('an instance by itself', () => {
  const partition = {
    cpus: {
      kind: 'count' as const,
      count: 2,
      numa: null,
      smt: 'whole-core' as const,
      cache: 'any' as const,
      near: null,
    },
    memory: { kind: 'size' as const, bytes: 2 ** 28, node: null, hugePageBytes: null },
    devices: [],
  };
  const some = { cpus: [4, 5, 6, 7], sharedCpus: [], memory: { kind: 'size' as const, bytes: 2 ** 30 }, devices: [] };

  it('owns its part of the pool until it is removed, also after a crash of the daemon', async () => {
    const test = await startDaemon();
    const { client } = test;
    await expect(test.create({ command: ['sleep', 'inf'], partition })).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('there is no pool'),
    });
    await client.initPool(some);
    await test.create({ name: 'a', command: ['sleep', 'inf'], partition });
    await test.create({ name: 'b', command: ['sleep', 'inf'], partition });
    await expect(test.create({ name: 'c', command: ['sleep', 'inf'], partition })).rejects.toMatchObject({
      code: 'conflict',
      field: 'partition.cpus',
    });
    expect((await client.list()).map(({ spec }) => spec.name)).toEqual(['a', 'b']);
    await test.crashAndRestart();
    expect(Object.keys((await client.pool()).partitions).sort()).toEqual(['a', 'b']);
    await client.remove('a', { force: true });
    expect((await client.pool()).free.cpus).toHaveLength(2);
    await test.create({ name: 'c', command: ['sleep', 'inf'], partition });
  });

  it('is refused what is not there, or stated twice', async () => {
    const test = await startDaemon();
    await test.client.initPool(some);
    const devices = [{ kind: 'address' as const, address: '0000:01:00.0' }];
    await expect(test.create({ command: ['true'], partition: { ...partition, devices } })).rejects.toMatchObject({
      code: 'conflict',
      field: 'partition.devices.0',
    });
    await expect(test.create({ command: ['true'], cpus: 2, partition })).rejects.toMatchObject({
      code: 'invalid',
      field: 'cpus',
    });
  });
});
