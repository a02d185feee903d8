/** Healing, on kernels in memory and a clock that the tests move. */
import { expect, it, onTestFinished, vi } from 'vitest';
import { FakeDriver, fakeGuest, fakeKernels, killFakeKernel, tellOfFakeKernel } from '../../src/driver/fake/driver.ts';
import type { HealOutcome } from '../../src/heal/contract.ts';
import { HealingLog } from '../../src/heal/log.ts';
import { eventually, startDaemon, type TestDaemon, untilState } from '../support/harness.ts';
import { ManualClock } from '../support/manual-clock.ts';

async function setUp(request: Partial<Parameters<TestDaemon['create']>[0]> = {}) {
  const clock = new ManualClock();
  const test = await startDaemon({ clock });
  await test.create({ name: 'web', command: ['sleep', '1000'], ...request });
  await untilState(test, 'web', 'running');
  const directory = () => fakeKernels(test.home)[0]!;
  const startedAt = async () => (await test.client.inspect('web')).startedAt;
  /** Seconds go by, in which its vCPU runs, until `condition` gives something. */
  const until = <T>(condition: () => Promise<T | false>) =>
    eventually(async () => {
      const guest = fakeGuest(directory());
      if (guest !== undefined) {
        const vcpus = guest.usage.vcpus.map(({ ranNs, waitedNs }) => ({ ranNs: ranNs + 1e9, waitedNs }));
        guest.usage = { ...guest.usage, vcpus };
      }
      clock.advance(1_000);
      return condition();
    });
  const untilLast = (outcome: HealOutcome) =>
    until(async () => {
      const last = (await test.client.healings({ name: 'web' })).at(-1);
      return last?.outcome === outcome && last;
    });
  const untilHung = () => until(async () => (await test.client.instanceHealth('web')).health === 'hung');
  const untilHealthy = () => until(async () => (await test.client.instanceHealth('web')).health === 'healthy');
  return { clock, test, directory, startedAt, until, untilLast, untilHung, untilHealthy };
}

it('one that hangs is ended and gets a new kernel, at once after a good run, and that is written down', async () => {
  const { test, directory, startedAt, untilLast, untilHealthy } = await setUp({ heal: 'hung' });
  await untilHealthy();
  const before = await startedAt();
  for (let second = 0; second < 10; second++) await untilHealthy();
  fakeGuest(directory())!.pause();
  const healing = await untilLast('healed');
  expect(healing).toMatchObject({
    name: 'web',
    cause: 'hung',
    attempt: 1,
    why: expect.stringContaining('said nothing'),
  });
  const status = await test.client.inspect('web');
  expect(status).toMatchObject({ state: 'running', restarts: 1, exit: { reason: 'hung' } });
  expect(status.startedAt).not.toBe(before);
  await untilHealthy();
  expect(await test.client.heal()).toMatchObject([{ name: 'web', heal: 'hung', heldUntil: null, last: healing }]);
});

it('one that writes its own memory down is lost, and not ended, until it is heard again', async () => {
  const { test, directory, startedAt, untilHealthy, until } = await setUp({ heal: 'unhealthy' });
  await untilHealthy();
  const before = await startedAt();
  tellOfFakeKernel(directory(), { sign: 'dumping', text: 'it dumps itself' });
  fakeGuest(directory())!.pause();
  for (let second = 0; second < 30; second++) await until(async () => true);
  expect(await test.client.instanceHealth('web')).toMatchObject({
    state: 'running',
    health: 'lost',
    signs: [{ sign: 'dumping' }],
  });
  expect(await startedAt()).toBe(before);
  fakeGuest(directory())!.resume();
  await untilHealthy();
});

it('of what is not asked for none is healed', async () => {
  const { test, directory, startedAt, untilHung, untilHealthy, until } = await setUp({ heal: 'lost' });
  await untilHealthy();
  const before = await startedAt();
  fakeGuest(directory())!.pause();
  await untilHung();
  for (let second = 0; second < 5; second++) await until(async () => true);
  expect(await startedAt()).toBe(before);
  expect(await test.client.healings({})).toEqual([]);
});

it('one whose check fails gets a new kernel; what its memory did not suffice for is no reason', async () => {
  const { test, untilLast } = await setUp({
    ...{ heal: 'unhealthy', healthCommand: 'echo ill; false', healthIntervalMs: 1_000 },
    ...{ healthRetries: 2, healthStartPeriodMs: 0 },
  });
  expect(await untilLast('healed')).toMatchObject({ cause: 'unhealthy', why: expect.stringContaining('ill') });
  expect((await test.client.inspect('web')).exit).toMatchObject({ reason: 'unhealthy' });
});

it('a kernel that is lost is healed whatever its restart policy, later and later, and a crash loop is told', async () => {
  const { clock, test, directory } = await setUp({ heal: 'lost' });
  for (let attempt = 1; attempt <= 11; attempt++) {
    killFakeKernel(directory());
    const { restartAt } = await untilState(test, 'web', 'backoff');
    const delay = attempt > 10 ? 600_000 : Math.min(60_000, 1_000 * 2 ** (attempt - 1));
    expect(Date.parse(restartAt!) - clock.now()).toBe(delay);
    clock.advance(delay);
    await untilState(test, 'web', 'running');
  }
  const log = await test.client.healings({ name: 'web' });
  expect(log.map(({ attempt, outcome, cause }) => `${attempt} ${cause} ${outcome}`)).toEqual(
    Array.from({ length: 11 }, (_, at) => `${at + 1} died healed`),
  );
  expect(log[1]).toMatchObject({ tookMs: 2_000 });
  for await (const { type } of test.client.events({ since: 0 })) if (type === 'crash-loop') break;
});

it('nothing is healed of one that is held off, across daemons too, and what is due comes when that is over', async () => {
  const { clock, test, directory } = await setUp({ restart: 'always' });
  const held = await test.client.holdHealing('web', { seconds: 3600 });
  expect(held.heldUntil).toBe(new Date(clock.now() + 3_600_000).toISOString());
  killFakeKernel(directory());
  await untilState(test, 'web', 'backoff');
  clock.advance(100_000);
  await eventually(async () => (await test.client.healings({}))[0]?.outcome === 'held');
  await test.crashAndRestart();
  expect(await test.client.inspect('web')).toMatchObject({ state: 'backoff' });
  expect(await test.client.heal()).toMatchObject([{ heldUntil: held.heldUntil }]);
  clock.advance(3_400_000);
  expect(await test.client.inspect('web')).toMatchObject({ state: 'backoff' });
  clock.advance(100_000);
  await untilState(test, 'web', 'running');
  expect(await test.client.healings({})).toMatchObject([{ outcome: 'healed' }]);
});

it('nothing is healed of one whose health somebody knows of, until it is said that it may be', async () => {
  const { test, directory, untilHung, untilHealthy, until, untilLast } = await setUp({ heal: 'hung' });
  await untilHealthy();
  await test.client.holdHealing('web', { seconds: 30 });
  fakeGuest(directory())!.pause();
  await untilHung();
  await test.client.acknowledgeHealth('web');
  for (let second = 0; second < 40; second++) await until(async () => true);
  expect(await test.client.inspect('web')).toMatchObject({ state: 'running', restarts: 0 });
  expect(await test.client.heal()).toMatchObject([{ heldUntil: null, acknowledged: true, last: { outcome: 'held' } }]);
  await test.client.holdHealing('web', { seconds: 0 });
  await untilLast('healed');
});

it('one that is well again by itself while it is held off is left alone', async () => {
  const { test, directory, untilHung, untilHealthy, untilLast } = await setUp({ heal: 'hung' });
  await untilHealthy();
  await test.client.holdHealing('web', { seconds: 3600 });
  const guest = fakeGuest(directory())!;
  guest.pause();
  await untilHung();
  guest.resume();
  expect(await untilLast('over')).toMatchObject({ note: expect.stringContaining('by itself') });
  await test.client.holdHealing('web', { seconds: 0 });
  expect(await test.client.inspect('web')).toMatchObject({ state: 'running', restarts: 0 });
});

it('what a person stops or starts meanwhile is that one´s affair', async () => {
  const { test, directory } = await setUp({ restart: 'always' });
  killFakeKernel(directory());
  await untilState(test, 'web', 'backoff');
  await test.client.stop('web');
  expect(await test.client.healings({})).toMatchObject([{ outcome: 'over', note: 'it was stopped meanwhile' }]);
  await test.client.start('web');
  killFakeKernel(directory());
  await untilState(test, 'web', 'backoff');
  await test.client.start('web');
  expect(await test.client.healings({})).toMatchObject([{}, { outcome: 'over', note: 'somebody started it' }]);
});

it.each([
  ['answers', 'healed'],
  ['is gone', 'failed'],
] as const)('what an earlier daemon had not written down is decided when its kernel %s', async (how, outcome) => {
  const { clock, test, directory } = await setUp({ restart: 'always' });
  const unwritten = vi.spyOn(HealingLog.prototype, 'change').mockImplementation(() => undefined);
  onTestFinished(() => void vi.restoreAllMocks());
  killFakeKernel(directory());
  await untilState(test, 'web', 'backoff');
  clock.advance(1_000);
  await untilState(test, 'web', 'running');
  await test.daemon.drop();
  unwritten.mockRestore();
  const { promise: silent, resolve: answer } = Promise.withResolvers<void>();
  const { attach } = FakeDriver.prototype;
  vi.spyOn(FakeDriver.prototype, 'attach').mockImplementationOnce(async function (this: FakeDriver, spec, seen, leave) {
    seen?.(1);
    await silent;
    return await attach.call(this, spec, seen, leave);
  });
  await test.crashAndRestart();
  expect(await test.client.inspect('web')).toMatchObject({ state: 'running', takingOver: true });
  expect(await test.client.healings({})).toMatchObject([{ outcome: 'waiting' }]);
  if (how === 'is gone') killFakeKernel(directory());
  answer();
  await eventually(async () => (await test.client.healings({}))[0]?.outcome === outcome);
});

it('Prometheus is told', async () => {
  const { test } = await setUp();
  await test.client.holdHealing('web', { seconds: 60 });
  expect(await test.client.metrics()).toContain('polykernel_heal_held{instance="web"} 1\n');
});

it('of foreground instances none is healed', async () => {
  const { test } = await setUp();
  await expect(test.create({ name: 'front', command: ['true'], attached: true, heal: 'hung' })).rejects.toMatchObject({
    code: 'invalid',
    field: 'heal',
  });
});
