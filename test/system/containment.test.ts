/** Trials of containment on kernels in memory. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { TrialReport } from '../../src/containment/contract.ts';
import { fakeKernels, killFakeKernel } from '../../src/driver/fake/driver.ts';
import { eventually, startDaemon, type TestDaemon, untilState } from '../support/harness.ts';

const WINDOW_MS = 100;
const ASKED = { victim: 'web', neighbours: ['db', 'api'], windowMs: WINDOW_MS } as const;

async function setUp(): Promise<TestDaemon> {
  const test = await startDaemon();
  for (const name of ['web', 'db', 'api']) {
    await test.create({ name, command: ['sleep', '1000'], volumes: [] });
    await untilState(test, name, 'running');
  }
  return test;
}

const names = async (test: TestDaemon) => (await test.client.list()).map(({ spec }) => spec.name).sort();
const boots = async (test: TestDaemon) => (await test.client.list()).map(({ bootId }) => bootId);
/** Kills the kernel of a clone. */
async function killClone(test: TestDaemon, index: number): Promise<void> {
  const clone = (await test.client.list()).find(({ spec }) => spec.name.includes(`-${index}-`))!;
  const { paths } = await test.client.inspect(clone.spec.name);
  killFakeKernel(fakeKernels(paths.directory)[0]!);
}
const broken = ({ findings }: TrialReport) =>
  findings.filter(({ outcome }) => outcome === 'broken').map(({ about, name }) => `${name} ${about}`);

it('a panic on clones is contained and healed; the clones are gone, and what they are clones of was not touched', async () => {
  const test = await setUp();
  const before = await boots(test);
  const report = await test.client.proveContainment({ ...ASKED, fault: 'panic' });
  expect([report.verdict, report.healed, broken(report)]).toEqual(['contained', true, []]);
  expect(report.findings[0]).toMatchObject({ about: 'fault', reason: expect.stringContaining('Kernel panic') });
  expect(report.findings[1]).toMatchObject({ about: 'health', reason: expect.stringMatching(/^told as panic, /) });
  const [victim, ...others] = report.kernels;
  expect(victim!.bootIdAfter).not.toBe(victim!.bootIdBefore);
  for (const { bootIdBefore, bootIdAfter, before, during, after, series } of others) {
    expect(bootIdAfter).toBe(bootIdBefore);
    for (const { requests, errors } of [before, during, after]) expect([requests > 0, errors]).toEqual([true, 0]);
    expect(series.length).toBeGreaterThan(0);
  }
  expect(await names(test)).toEqual(['api', 'db', 'web']);
  expect(await boots(test)).toEqual(before);
});

it('a neighbour whose kernel goes is a leak, whatever took it', async () => {
  const test = await setUp();
  const report = await test.client.proveContainment({ ...ASKED, fault: 'cpu-hog' }, (text) => {
    if (text === 'cpu-hog in web') void killClone(test, 1);
  });
  expect(report.verdict).toBe('leaked');
  expect(broken(report)).toEqual(expect.arrayContaining(['db kernel', 'db health', 'db errors']));
  expect(broken(report).filter((each) => !each.startsWith('db'))).toEqual([]);
  expect(await names(test)).toEqual(['api', 'db', 'web']);
});

it('clones of a daemon that was killed are removed by the next one, and only these', async () => {
  const test = await setUp();
  const begun = Promise.withResolvers<void>();
  const trial = test.client.proveContainment({ ...ASKED, fault: 'io-hog' }, (text) => {
    if (text.startsWith('quiet')) begun.resolve();
  });
  trial.catch(() => {});
  await begun.promise;
  expect(await names(test)).toHaveLength(6);
  expect(existsSync(join(test.home, 'trials'))).toBe(true);
  await test.crashAndRestart();
  await trial.catch(() => {});
  await eventually(async () => (await names(test)).length === 3);
  await eventually(() => readdirSync(join(test.home, 'trials')).length === 0);
  expect(await names(test)).toEqual(['api', 'db', 'web']);
});

it('when the client goes away the clones go too; meanwhile there is no second trial', async () => {
  const test = await setUp();
  const client = new AbortController();
  const begun = Promise.withResolvers<void>();
  const trial = test.client.proveContainment(
    { ...ASKED, fault: 'hang', windowMs: 60_000 },
    (text) => text.startsWith('quiet') && begun.resolve(),
    client.signal,
  );
  await begun.promise;
  await expect(test.client.proveContainment({ ...ASKED, fault: 'panic' })).rejects.toMatchObject({ code: 'conflict' });
  client.abort();
  await expect(trial).rejects.toThrow();
  await eventually(async () => (await names(test)).length === 3);
});

it('live, the victim itself is harmed and restarted', async () => {
  const test = await setUp();
  const before = await test.client.inspect('web');
  const report = await test.client.proveContainment({ ...ASKED, fault: 'panic', live: true });
  expect([report.verdict, report.healed, report.kernels.map(({ instance }) => instance)]).toEqual([
    'contained',
    true,
    ['web', 'db', 'api'],
  ]);
  const after = await test.client.inspect('web');
  expect(after).toMatchObject({ state: 'running' });
  expect(after.bootId).not.toBe(before.bootId);
});

it('live, a victim is healed too when the client goes away under the fault', async () => {
  const test = await setUp();
  const before = await test.client.inspect('web');
  const client = new AbortController();
  const asked = { ...ASKED, fault: 'hang', live: true } as const;
  const abort = (text: string) => text === 'hang in web' && client.abort();
  await expect(test.client.proveContainment(asked, abort, client.signal)).rejects.toThrow();
  await eventually(async () => {
    const { state, bootId } = await test.client.inspect('web');
    return state === 'running' && bootId !== before.bootId;
  });
});

it('what cannot be tried is refused, and nothing is left', async () => {
  const test = await setUp();
  await test.create({ name: 'ends', command: ['false'] });
  await untilState(test, 'ends', 'exited');
  const refused = (part: object, code: string, message: string) =>
    expect(test.client.proveContainment({ ...ASKED, fault: 'panic', ...part })).rejects.toMatchObject({
      code,
      message: expect.stringContaining(message),
    });
  await refused({ neighbours: ['db', 'web'] }, 'invalid', 'web is named twice');
  await refused({ neighbours: ['nobody'] }, 'not-found', 'nobody');
  await refused({ neighbours: [] }, 'invalid', 'neighbours');
  await refused({ fault: 'io-hog', live: true }, 'unsupported', 'would write to the disks of web');
  await refused({ fault: 'net-flood', live: true }, 'unsupported', 'needs a network');
  await refused({ neighbours: ['db', 'ends'], live: true }, 'conflict', 'ends is exited');
  await refused({ neighbours: ['db', 'ends'] }, 'unsupported', 'ends ended before the fault');
  expect(await names(test)).toHaveLength(4);
});
