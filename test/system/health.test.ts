/** Health beside state, on kernels in memory and a clock that the tests move. */
import { expect, it } from 'vitest';
import { fakeGuest, fakeKernels, killFakeKernel, tellOfFakeKernel } from '../../src/driver/fake/driver.ts';
import type { Health } from '../../src/health/contract.ts';
import { eventually, startDaemon, type TestDaemon, untilState } from '../support/harness.ts';
import { ManualClock } from '../support/manual-clock.ts';

async function setUp(request: Partial<Parameters<TestDaemon['create']>[0]> = {}) {
  const clock = new ManualClock();
  const test = await startDaemon({ clock });
  await test.create({ name: 'web', command: ['sleep', '1000'], ...request });
  await untilState(test, 'web', 'running');
  const directory = () => fakeKernels(test.home)[0]!;
  const guest = () => fakeGuest(directory())!;
  /** Seconds go by, each with `during`, until it does so. */
  const until = (health: Health, during: () => unknown = () => {}) =>
    eventually(async () => {
      await during();
      clock.advance(1_000);
      const status = await test.client.instanceHealth('web');
      return status.health === health && status;
    });
  return { clock, test, directory, guest, until };
}

/** Its vCPU runs, or waits for a CPU of the host, for a second. */
function spend(guest: ReturnType<typeof fakeGuest>, ran: number, waited: number): void {
  const { usage } = guest!;
  const vcpus = usage.vcpus.map(({ ranNs, waitedNs }) => ({
    ranNs: ranNs + ran * 1e9,
    waitedNs: waitedNs + waited * 1e9,
  }));
  guest!.usage = { ...usage, vcpus };
}

/** What was told of its health so far, up to an event of a type that comes. */
async function told(test: TestDaemon, last: string): Promise<string[]> {
  const news: string[] = [];
  for await (const { type, message } of test.client.events({ since: 0 })) {
    if (type.startsWith('health-')) news.push(`${type} ${message}`);
    if (type === last) break;
  }
  return news;
}

it('one that runs and says nothing is hung, and well again when it speaks', async () => {
  const { test, guest, until } = await setUp();
  await until('healthy');
  guest().pause();
  const { signs } = await until('hung', () => spend(guest(), 1, 0));
  expect(signs).toMatchObject([{ sign: 'silence', seen: expect.stringContaining('said nothing') }]);
  expect(await test.client.acknowledgeHealth('web')).toMatchObject({ health: 'hung', acknowledged: true });
  guest().resume();
  expect(await until('healthy')).toMatchObject({ signs: [], acknowledged: false });
  expect(await told(test, 'health-regained')).toEqual([
    expect.stringMatching(/^health-lost hung: it said nothing/),
    expect.stringMatching(/^health-regained was hung: it said nothing/),
  ]);
});

it('one that the host gives no time is starving and never hung, and no loss is told', async () => {
  const { test, guest, until } = await setUp();
  await until('healthy');
  guest().pause();
  const { signs } = await until('starving', () => spend(guest(), 0.01, 0.99));
  expect(signs).toMatchObject([{ sign: 'starved' }]);
  for (let second = 0; second < 30; second++)
    expect(await until('starving', () => spend(guest(), 0.01, 0.99))).toMatchObject({ health: 'starving' });
  guest().resume();
  await until('healthy');
  await test.client.stop('web');
  expect(await told(test, 'exited')).toEqual([]);
});

it('that it panicked is told as its VMM sees it, before all of it is gone', async () => {
  const { test, directory, until } = await setUp();
  await until('healthy');
  tellOfFakeKernel(directory(), { sign: 'panic', text: 'Kernel panic - not syncing: x' });
  expect(await test.client.instanceHealth('web')).toMatchObject({
    ...{ state: 'running', health: 'lost', signs: [{ sign: 'panic', seen: 'Kernel panic - not syncing: x' }] },
  });
  killFakeKernel(directory());
  await untilState(test, 'web', 'exited');
  // Once.
  expect(await told(test, 'crashed')).toEqual(['health-lost lost: Kernel panic - not syncing: x']);
});

it('one that is paused keeps the health it had', async () => {
  const { clock, test, until } = await setUp();
  await until('healthy');
  await test.client.pause('web');
  for (let second = 0; second < 60; second++) clock.advance(1_000);
  expect(await test.client.instanceHealth('web')).toMatchObject({ state: 'paused', health: 'healthy' });
  await test.client.resume('web');
  await until('healthy');
  await test.client.stop('web');
  expect(await told(test, 'exited')).toEqual([]);
});

it('one whose kernel goes unasked is lost at once, well again after a start, and what is known is not told anew', async () => {
  const { test, directory, until } = await setUp();
  await until('healthy');
  killFakeKernel(directory());
  const lost = await eventually(async () => {
    const status = await test.client.instanceHealth('web');
    return status.health === 'lost' && status;
  });
  expect(lost.signs).toMatchObject([{ sign: 'died', seen: "the kernel's process was killed by SIGKILL" }]);
  expect(await told(test, 'health-lost')).toHaveLength(1);
  await test.crashAndRestart();
  expect(await test.client.health()).toMatchObject([{ name: 'web', health: 'lost', signs: lost.signs }]);
  await test.client.start('web');
  await until('healthy');
  expect(await told(test, 'health-regained')).toEqual([expect.stringMatching(/^health-regained was lost: /)]);
});

it('the check of a workload tells that it is unhealthy, after its start period and retries, and healthy again', async () => {
  const { test, until } = await setUp({
    healthCommand: 'echo no such page; false',
    healthIntervalMs: 2_000,
    healthRetries: 2,
    healthStartPeriodMs: 8_000,
  });
  const { signs, check } = await until('unhealthy');
  const seen = 'its check failed 2 times in a row: exit code 1, no such page';
  expect(signs).toMatchObject([{ sign: 'check', seen }]);
  expect(check!.results).toContainEqual(expect.objectContaining({ outcome: 'not-counted', exitCode: 1 }));
  expect(check!.results.at(-1)).toMatchObject({ outcome: 'failed', exitCode: 1, output: 'no such page\n' });
  const { supervisor } = test.daemon;
  const spec = { ...supervisor.get('web').record.spec, healthCommand: 'true' };
  await supervisor.update(new Map([['web', { spec }]]), null);
  const { check: passed } = await until('healthy');
  expect(passed!.results.length).toBeLessThanOrEqual(5);
  expect(await told(test, 'health-regained')).toHaveLength(2);
});

it('a check that takes too long is ended and has failed; in a kernel that the host starves it does not count', async () => {
  const { test, guest, until } = await setUp({
    healthCommand: 'sleep 100000',
    healthTimeoutMs: 60_000,
    healthRetries: 1,
    healthStartPeriodMs: 0,
  });
  const starve = () => spend(guest(), 0.1, 0.9);
  await until('starving', starve);
  const { check } = await eventually(async () => {
    await until('starving', starve);
    const status = await test.client.instanceHealth('web');
    return status.check!.results.length > 0 && status;
  });
  expect(check).toMatchObject({ failures: 0, results: [{ outcome: 'not-counted' }] });
  const { signs } = await until('unhealthy', () => spend(guest(), 1, 0));
  expect(signs).toMatchObject([{ sign: 'check', seen: expect.stringContaining('longer than 60000 ms') }]);
});

it('of what checks write no more than a little is kept, without what a terminal would obey', async () => {
  const { until } = await setUp({
    healthCommand: 'echo \x1b[2Jgone; yes',
    healthRetries: 6,
    healthIntervalMs: 1_000,
    healthTimeoutMs: 2_000,
    healthStartPeriodMs: 0,
  });
  const { check, signs } = await until('unhealthy');
  expect(check!.results).toHaveLength(5);
  for (const { output } of check!.results) expect(output.length).toBeLessThan(2_100);
  expect(JSON.stringify([check!.results, signs])).not.toContain('\\u001b');
});

it('one whose kernel killed for want of memory is unhealthy for a while, or until somebody knows', async () => {
  const { test, guest, until } = await setUp();
  const killed = (count: number) => () => {
    const content = Buffer.from(`pgfault 1\npgmajfault 0\noom_kill ${count}\n`);
    guest().files.set('/proc/vmstat', { mode: 0o444, content });
    guest().snapshot();
  };
  for (let second = 0; second < 3; second++) await until('healthy', killed(4));
  const { signs } = await until('unhealthy', killed(6));
  expect(signs).toMatchObject([{ sign: 'out-of-memory', seen: 'its kernel killed 2 processes for want of memory' }]);
  expect(await test.client.acknowledgeHealth('web')).toMatchObject({ health: 'healthy', signs: [] });
  await until('unhealthy', killed(7));
  await until('healthy', killed(7));
});

it('what its kernel tells of itself is a sign at once, for a while or until somebody knows, and what it is not is none', async () => {
  const { test, guest, until } = await setUp();
  await until('healthy');
  guest().trouble(3, 1, 'INFO: task touch:77 blocked for more than 60 seconds.\x1b[2J');
  const { signs } = await until('unhealthy');
  expect(signs).toMatchObject([{ sign: 'hung-task', seen: expect.stringContaining('task touch:77 blocked') }]);
  expect(JSON.stringify(signs)).not.toContain('u001b');
  expect(await test.client.acknowledgeHealth('web')).toMatchObject({ health: 'healthy', signs: [] });
  guest().trouble(2, 1, 'rcu: INFO: rcu_sched self-detected stall on CPU');
  await until('unhealthy');
  await until('healthy');
  guest().trouble(77, 1, 'no such kind');
  await until('healthy');
});

it('Prometheus is told', async () => {
  const { test, until } = await setUp();
  await until('healthy');
  expect(await test.client.metrics()).toContain('polykernel_health_is{instance="web",health="healthy"} 1\n');
});
