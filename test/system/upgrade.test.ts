/** Upgrades of instances that no service leads to, through a whole daemon on the fake driver. */
import { expect, it, vi } from 'vitest';
import { FAKE_IMAGE } from '../../src/driver/fake/traits.ts';
import type { CreateRequest } from '../../src/instance/contract.ts';
import type { UpgradeRequest } from '../../src/upgrade/contract.ts';
import { startDaemon, type TestDaemon, untilState } from '../support/harness.ts';

const OLD = ['sleep', 'inf'];
const NEW = ['stubborn'];
/** Longer than any test, for upgrades that are to fail within. */
const EVER = 3_600_000;

async function withWeb(more: Partial<CreateRequest> = {}): Promise<TestDaemon> {
  const test = await startDaemon();
  await test.create({ name: 'web', command: OLD, stopGraceMs: 0, ...more });
  await untilState(test, 'web', 'running');
  return test;
}

const upgrade = (test: TestDaemon, request: UpgradeRequest, told: (text: string) => void = () => {}) =>
  test.client.upgrade('web', { watchMs: 0, ...request }, told);

/** Once what a crash cut off has been taken up: changes of the machine wait for that. */
const takenUp = ({ client }: TestDaemon) => client.destroy('nothing-of-this-name');

const told = async ({ client }: TestDaemon, type: string) => {
  const done = new AbortController();
  for await (const event of client.events({ since: 0 }, done.signal)) {
    if (event.type !== type) continue;
    done.abort();
    return event.message;
  }
};

it('runs the new one in place of the old, and says how long it was down', async () => {
  const test = await withWeb();
  const before = await test.client.inspect('web');
  const report = await upgrade(test, { command: NEW });
  expect(report).toMatchObject({ way: 'pause', why: 'no service sends requests to it', isPaused: true, services: [] });
  expect(report.downMs).toBeGreaterThanOrEqual(0);
  const after = await test.client.inspect('web');
  expect(after).toMatchObject({ id: before.id, state: 'running', spec: { command: NEW } });
  expect(after.bootId).not.toBe(before.bootId);
  const { command: _, ...rest } = after.spec;
  expect(rest).toEqual((({ command: _, ...spec }) => spec)(before.spec));
  expect(await told(test, 'upgraded')).toBe(`its kernel was down for ${report.downMs} ms`);
});

it.each([
  ['ends', ['false'], /web is exited/],
  ['panics', ['crash'], /web is exited: .*panic/],
  ['is not there', ['nowhere'], /nowhere/],
])('runs the old one again when the new one %s', async (_, command, words) => {
  const test = await withWeb();
  const failure = await upgrade(test, { command, watchMs: EVER }).catch((error) => error);
  expect(failure).toHaveProperty('message', expect.stringMatching(words));
  // It runs again: to start it is no advice.
  expect(`${failure.hint}`).not.toContain('pk start');
  expect(await test.client.inspect('web')).toMatchObject({ state: 'running', spec: { command: OLD } });
  expect(await told(test, 'upgrade-undone')).toMatch(/what was done before was taken back/);
});

it('an image that is another one now under its old name is none to upgrade to: nothing could be taken back', async () => {
  const test = await withWeb();
  const { bootId, spec } = await test.client.inspect('web');
  const { image } = spec;
  expect(await upgrade(test, { image })).toMatchObject({ isPaused: true, downMs: null });
  using _digest = vi.spyOn(FAKE_IMAGE, 'digest', 'get').mockReturnValue('a'.repeat(64));
  await expect(upgrade(test, { image })).rejects.toMatchObject({ code: 'conflict', field: 'image' });
  expect(await test.client.inspect('web')).toMatchObject({ bootId, state: 'running' });
  // And of what was so already no event tells: the first one is of this.
  const { downMs } = await upgrade(test, { command: NEW });
  expect(await told(test, 'upgraded')).toBe(`its kernel was down for ${downMs} ms`);
});

it('killed at any step, it leaves the old one running or the new one, whole', async () => {
  for (let at = 1; ; at += 1) {
    const test = await withWeb();
    let crash: Promise<void> | undefined;
    const upgrading = upgrade(test, { command: NEW, watchMs: at === 2 ? EVER : 0 }, (text) => {
      if (text.startsWith(`[${at}/`)) crash = test.crashAndRestart();
    });
    await upgrading.catch(() => {});
    if (crash === undefined) break;
    await crash;
    await takenUp(test);
    await untilState(test, 'web', 'running');
    expect((await test.client.inspect('web')).spec.command).toEqual(OLD);
  }
});

it('changes what starts next of one that does not run', async () => {
  const test = await withWeb();
  await test.client.stop('web');
  expect(await upgrade(test, { command: NEW })).toMatchObject({ way: 'at-rest', downMs: null, isPaused: false });
  expect(await test.client.inspect('web')).toMatchObject({ state: 'exited', spec: { command: NEW } });
  await test.client.start('web');
  expect(await test.client.inspect('web')).toMatchObject({ state: 'running', spec: { command: NEW } });
});

it('says what it would do, and does nothing; refuses what cannot be', async () => {
  const test = await withWeb();
  const before = await test.client.inspect('web');
  const { steps, way } = await upgrade(test, { command: NEW, dryRun: true });
  expect(way).toBe('pause');
  expect(steps.map(({ text }) => text)).toEqual(['stop web and start it with another command', 'watch web for 0 s']);
  await expect(upgrade(test, {})).rejects.toMatchObject({ code: 'invalid', field: 'image' });
  await expect(upgrade(test, { image: 'absent' })).rejects.toMatchObject({ code: 'not-found' });
  await test.client.pause('web');
  await expect(upgrade(test, { command: NEW })).rejects.toMatchObject({ code: 'conflict' });
  await test.client.resume('web');
  expect(await test.client.inspect('web')).toMatchObject({ bootId: before.bootId, spec: before.spec });
});

it('leaves nothing to do for a stack file that says the same', async () => {
  const test = await startDaemon();
  const file = (command: string) => ({
    ...{ file: 'test.yaml', directory: '/tmp', defaultName: 'shop' },
    text: `kernels: {web: {driver: fake, command: [${command}]}}`,
  });
  await test.client.apply(file('sleep, inf'));
  await untilState(test, 'web', 'running');
  await upgrade(test, { command: NEW });
  expect((await test.client.plan(file('stubborn'))).steps).toEqual([]);
  expect((await test.client.plan(file('sleep, inf'))).steps).not.toEqual([]);
});
