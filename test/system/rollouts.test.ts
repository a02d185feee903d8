/** Upgrades of all, which are the daemon's to carry on, through a whole daemon on the fake driver. */
import { expect, it } from 'vitest';
import { fakeKernels, killFakeKernel } from '../../src/driver/fake/driver.ts';
import type { RolloutRequest } from '../../src/upgrade/contract.ts';
import { startDaemon, type TestDaemon, untilState } from '../support/harness.ts';
import { until } from '../support/pk.ts';

const NEW = '/usr';
/** Longer than any test. */
const EVER = 3_600_000;
const ALL: RolloutRequest = { root: NEW, watchMs: 0 };

async function withTwo(): Promise<TestDaemon> {
  const test = await startDaemon();
  for (const name of ['a', 'b']) {
    await test.create({ name, command: ['sleep', 'inf'], stopGraceMs: 0 });
    await untilState(test, name, 'running');
  }
  await test.create({ name: 'off', command: ['true'], start: false });
  return test;
}

const rootsOf = async ({ client }: TestDaemon) =>
  Object.fromEntries((await client.list()).map(({ spec, state }) => [spec.name, `${spec.root} ${state}`]));
const OLD = { a: 'host running', b: 'host running', off: 'host created' };

/** Begins one that does not end by itself, and does `then` once its first upgrade is under way. */
async function amid(test: TestDaemon, then: () => Promise<unknown> | undefined): Promise<unknown> {
  let done: Promise<unknown> | undefined;
  const rolling = test.client.rollOut({ ...ALL, watchMs: EVER }, (text) => {
    if (text.includes('watch')) done ??= then();
  });
  const outcome = await rolling.catch((error) => error);
  await done;
  return outcome;
}

it('goes on when the client that asked for it goes, and is nothing to do again', async () => {
  const test = await withTwo();
  const client = new AbortController();
  await expect(test.client.rollOut(ALL, () => client.abort(), client.signal)).rejects.toThrow();
  const over = await until('it is over', async () => {
    const now = await test.client.rollout();
    return now.state === 'running' ? undefined : now;
  });
  expect(over).toMatchObject({ state: 'done', left: [], under: [], failure: null });
  expect(over.done.map(({ name, way }) => `${name} ${way}`).sort()).toEqual(['a pause', 'b pause']);
  expect(await rootsOf(test)).toEqual({ a: `${NEW} running`, b: `${NEW} running`, off: 'host created' });
  expect(await test.client.rollOut(ALL)).toMatchObject({ state: 'done', done: [] });
});

it('who asks for the same follows it, and for another one is refused; stopped, it takes back what is under way', async () => {
  const test = await withTwo();
  let follower: Promise<unknown> | undefined;
  const outcome = await amid(test, async () => {
    expect(await test.client.rollout()).toMatchObject({ state: 'running', under: ['a'], left: ['b'] });
    follower = test.client.rollOut({ ...ALL, watchMs: EVER });
    await expect(test.client.rollOut(ALL)).rejects.toMatchObject({ code: 'conflict' });
    await test.client.stopRollout();
  });
  expect(outcome).toMatchObject({ state: 'stopped', under: [], done: [], failure: null });
  expect(await follower).toEqual(outcome);
  expect(await rootsOf(test)).toEqual(OLD);
});

it('a failure is taken back, told, and no other is begun', async () => {
  const test = await withTwo();
  const outcome = await amid(test, async () => {
    const { paths } = await test.client.inspect('a');
    for (const directory of fakeKernels(paths.directory)) killFakeKernel(directory);
  });
  expect(outcome).toMatchObject({
    state: 'failed',
    left: ['b'],
    failure: { name: 'a', error: { code: 'kernel-died' } },
  });
  expect(await rootsOf(test)).toEqual(OLD);
});

it.each(['crash', 'end'])('goes on with the next daemon after the %s of the one that began it', async (how) => {
  const test = await withTwo();
  await amid(test, async () => {
    if (how === 'end') await test.daemon.close();
    await test.crashAndRestart();
  });
  // The one that was under way was taken back, and is begun again.
  await until('it goes on', async () => (await test.client.inspect('a')).spec.root === NEW);
  expect(await test.client.rollout()).toMatchObject({ state: 'running', under: ['a'], left: ['b'], failure: null });
  await test.client.stopRollout();
  expect(await rootsOf(test)).toEqual(OLD);
});

it('dry, says what it would do and does nothing', async () => {
  const test = await withTwo();
  const { done } = await test.client.rollOut({ ...ALL, dryRun: true });
  expect(done.map(({ name }) => name)).toEqual(['a', 'b']);
  await expect(test.client.rollout()).rejects.toMatchObject({ code: 'not-found' });
  await expect(test.client.rollOut({})).rejects.toMatchObject({ code: 'invalid', field: 'image' });
});
