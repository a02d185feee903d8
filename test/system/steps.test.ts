/** Steps of a whole daemon: what its end cuts off is taken up by the next, and others than plans may submit some. */
import { DatabaseSync } from 'node:sqlite';
import { expect, it } from 'vitest';
import { silentJournal } from '../../src/core/journal.ts';
import { type StepRecord, stepTable } from '../../src/core/step-journal.ts';
import { Steps } from '../../src/core/steps.ts';
import { Store } from '../../src/core/store.ts';
import { Table } from '../../src/core/table.ts';
import { type InstanceStep, instanceExecutors, resumeInstance, stopInstance } from '../../src/instance/steps.ts';
import type { StackSource } from '../../src/stack/contract.ts';
import { layout } from '../../src/sys/paths.ts';
import { eventually, HOST, startDaemon, type TestDaemon, untilState } from '../support/harness.ts';
import { modelHost } from '../support/model-host.ts';

const stack = (text: string): StackSource => ({ text, file: 'test.yaml', directory: '/tmp', defaultName: 'shop' });

/** Ends the daemon as SIGKILL would once a line of the progress tells `text` and `when` holds; starts another. */
async function crashDuring(test: TestDaemon, source: StackSource, text: string, when = async () => true) {
  const begun = Promise.withResolvers<void>();
  const applying = test.client.apply(source, (line) => {
    if (line.includes(text)) begun.resolve();
  });
  const failed = applying.then(
    () => expect.unreachable('it was to be cut off'),
    () => {},
  );
  await begun.promise;
  await eventually(when);
  await test.crashAndRestart();
  await failed;
}

/** Once what a crash cut off of the stack has been taken up: changes of it wait for that. This one is refused then. */
async function takenUp({ client }: TestDaemon): Promise<void> {
  const impossible = stack('kernels: {web: {driver: fake, command: [x], partition: {cpus: 1000, memory: 1MiB}}}');
  await expect(client.apply(impossible)).rejects.toMatchObject({
    message: expect.stringContaining('nothing was done'),
  });
}

async function leftSteps({ home, daemon }: TestDaemon): Promise<StepRecord[]> {
  await daemon.close();
  const store = Store.open(layout(home));
  try {
    return store.table(stepTable).all((id) => expect.unreachable(`${id} cannot be read`));
  } finally {
    store.close();
  }
}

it('killed at any step, it leaves none half done, every kernel running, and nothing owned twice', async () => {
  const before = `
pool: {cpus: 2-7, shared: 7, memory: 2GiB}
kernels:
  web: {driver: fake, command: [sleep, inf], partition: {cpus: 2, memory: 512MiB}, environment: {MODE: a}}
  db: {driver: fake, command: [sleep, inf], partition: {cpus: "5", memory: 256MiB}}
  job: {driver: fake, command: [sleep, inf], partition: {cpus: {shared: 0.5}, memory: 128MiB}}
channels: {orders: {from: web, to: db, size: 64KiB}}
`;
  const after =
    before
      .replace('MODE: a', 'MODE: b')
      .replace('cpus: "5"', 'cpus: "6"')
      .replace(/ {2}job.*\n/, '')
      .replace('64KiB', '128KiB') + 'name: shop\n';
  const shop = stack(after.replace('channels:', '  new: {driver: fake, command: [sleep, inf]}\nchannels:'));
  for (let at = 1; ; at++) {
    const test = await startDaemon();
    await test.client.apply(stack(before));
    let crash: Promise<void> | undefined;
    const applying = test.client.apply(shop, (text) => {
      if (text.startsWith(`[${at}/`)) crash = test.crashAndRestart();
    });
    await applying.catch(() => {});
    if (crash === undefined) break;
    await crash;
    await takenUp(test);
    await eventually(async () => (await test.client.list()).every(({ state }) => state === 'running'));
    const { partitions } = await test.client.pool();
    const owners = (await test.client.list()).flatMap(({ spec, placement }) =>
      placement === null ? [] : [[spec.name, placement.partition]],
    );
    expect(partitions).toEqual(Object.fromEntries(owners));
    const cpus = Object.values(partitions).flatMap((partition) => partition.cpus);
    expect(new Set(cpus).size).toBe(cpus.length);
    expect(await leftSteps(test)).toEqual([]);
  }
});

it('a kernel whose stop was cut off runs again, for what it was stopped for did not come', async () => {
  const test = await startDaemon();
  const file = (mode: string) =>
    stack(`kernels: {web: {driver: fake, command: [stubborn], stopGrace: 1h, environment: {MODE: ${mode}}}}`);
  await test.client.apply(file('a'));
  const isStopping = async () => (await test.client.inspect('web')).state === 'stopping';
  await crashDuring(test, file('b'), 'stop web', isStopping);
  await takenUp(test);
  expect(await test.client.inspect('web')).toMatchObject({ state: 'running', spec: { env: { MODE: 'a' } } });
  expect(test.journal).toContain('stop web was taken back: start web');
  expect(await leftSteps(test)).toEqual([]);
});

it('an instance that was being created, and its part of the pool, are there', async () => {
  const test = await startDaemon();
  const file = stack(`
pool: {cpus: 2-3, memory: 1GiB}
kernels: {web: {driver: fake, command: [sleep, inf], hostname: never-ready, partition: {cpus: 2, memory: 512MiB}}}
`);
  const isStarting = async () => (await test.client.list()).some(({ state }) => state === 'starting');
  await crashDuring(test, file, 'create and start web', isStarting);
  await takenUp(test);
  expect(test.journal.some((line) => /^create and start web on CPUs 2-3, .* was done$/.test(line))).toBe(true);
  const [web] = await test.client.list();
  expect(web).toMatchObject({ state: 'starting', spec: { stack: 'shop' } });
  expect((await test.client.pool()).partitions).toEqual({ web: web?.placement?.partition });
  expect(await leftSteps(test)).toEqual([]);
});

it('what an orderly end of the daemon cuts off is taken up too', async () => {
  const test = await startDaemon();
  const file = stack('kernels: {web: {driver: fake, command: [sleep, inf], hostname: never-ready}}');
  const applying = test.client.apply(file);
  const isStarting = async () => (await test.client.list()).some(({ state }) => state === 'starting');
  await Promise.all([expect(applying).rejects.toThrow(), eventually(isStarting).then(() => test.daemon.close())]);
  const left = Store.open(layout(test.home));
  expect(
    left
      .table(stepTable)
      .all(() => {})
      .map(({ state, step }) => [state, step.kind]),
  ).toEqual([['begun', 'instance.create']]);
  left.close();
  await test.crashAndRestart();
  await takenUp(test);
  expect((await test.client.list()).map(({ spec }) => spec.name)).toEqual(['web']);
  expect(await leftSteps(test)).toEqual([]);
});

it('two steps are submitted without a plan: the machine is not looked at', async () => {
  const machine = modelHost({ coresPerL3: 8, threads: 1, memoryBytesPerNode: 16 * 2 ** 30 });
  let looks = 0;
  const test = await startDaemon({
    host: {
      ...HOST,
      readTopology: () => {
        looks += 1;
        return machine;
      },
    },
  });
  for (const name of ['a', 'b']) {
    await test.create({ name, command: ['sleep', 'inf'] });
    await untilState(test, name, 'running');
  }
  await test.client.pause('a');
  const database = new DatabaseSync(':memory:');
  const { supervisor } = test.daemon;
  const table = new Table(database, stepTable);
  const steps = new Steps<InstanceStep>({ executors: instanceExecutors(supervisor), table, journal: silentJournal });
  looks = 0;
  supervisor.observe = () => expect.unreachable('a plan was made');
  const { startedAt } = await test.client.inspect('b');
  await steps.submit([resumeInstance('a', 'it is paused'), stopInstance('b', startedAt)], { onFailure: 'undo' });
  expect(looks).toBe(0);
  expect((await test.client.list()).map(({ state }) => state)).toEqual(['running', 'exited']);
  database.close();
});

it('all or nothing: what was done is taken back when a step fails', async () => {
  const test = await startDaemon();
  for (const name of ['a', 'b']) {
    await test.create({ name, command: ['sleep', 'inf'] });
    await untilState(test, name, 'running');
  }
  const database = new DatabaseSync(':memory:');
  const table = new Table(database, stepTable);
  const executors = instanceExecutors(test.daemon.supervisor);
  const steps = new Steps<InstanceStep>({ executors, table, journal: silentJournal });
  const { bootId, startedAt } = await test.client.inspect('a');
  // b is not paused.
  const both = [stopInstance('a', startedAt), resumeInstance('b', 'it was paused')];
  await expect(steps.submit(both, { onFailure: 'undo' })).rejects.toMatchObject({
    code: 'conflict',
    message: expect.stringMatching(/b is running and cannot be resumed; what was done before was taken back$/),
  });
  expect(await test.client.inspect('a')).toMatchObject({
    state: 'running',
    bootId: expect.not.stringMatching(bootId!),
  });
  expect(table.all(() => {})).toEqual([]);
  database.close();
});
