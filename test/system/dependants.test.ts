/** Those that depend on an instance that went, through a whole daemon on the fake driver. */
import { expect, it } from 'vitest';
import { fakeKernels, killFakeKernel } from '../../src/driver/fake/driver.ts';
import type { CreateRequest } from '../../src/instance/contract.ts';
import { startDaemon, type TestDaemon, untilState } from '../support/harness.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { until } from '../support/pk.ts';

async function setUp(instances: Readonly<Record<string, Partial<CreateRequest>>>) {
  const clock = new ManualClock();
  const test = await startDaemon({ clock });
  for (const [name, more] of Object.entries(instances)) {
    await test.create({ name, command: ['sleep', 'inf'], stopGraceMs: 0, ...more });
    await untilState(test, name, 'running');
  }
  return { clock, test };
}

/** As a host kills a kernel. */
async function killKernel({ client }: TestDaemon, name: string): Promise<void> {
  const { paths } = await client.inspect(name);
  for (const directory of fakeKernels(paths.directory)) killFakeKernel(directory);
}

/** `NAME TYPE` of all that was told until `last` was. */
async function toldUntil({ client }: TestDaemon, last: string): Promise<string[]> {
  const done = new AbortController();
  const told: string[] = [];
  for await (const { name, type, message } of client.events({ since: 0 }, done.signal)) {
    told.push(`${name} ${type} ${message}`);
    if (told.at(-1)!.startsWith(last)) break;
  }
  done.abort();
  return told;
}

const bootIds = async ({ client }: TestDaemon) =>
  Object.fromEntries((await client.list()).map(({ spec, bootId }) => [spec.name, bootId]));

it('are told when it goes and when it has a new kernel, and get one too where that was asked for', async () => {
  const { clock, test } = await setUp({
    db: { heal: 'lost' },
    web: { dependsOn: ['db:restart'] },
    job: { dependsOn: ['db'] },
    end: { dependsOn: ['web:restart'] },
    ring: {},
    other: {},
  });
  await test.client.createChannel({ name: 'c', from: 'db', to: 'ring' });
  const before = await bootIds(test);
  await killKernel(test, 'db');
  await untilState(test, 'db', 'backoff');
  clock.advance(1_000);
  await until('the last one was restarted', async () => {
    const end = await test.client.inspect('end');
    return end.state === 'running' && end.bootId !== before.end;
  });
  const after = await bootIds(test);
  const restarted = Object.keys(before).filter((name) => before[name] !== after[name]);
  expect(restarted.sort()).toEqual(['db', 'end', 'web']);
  const told = await toldUntil(test, 'end dependency-back web');
  const about = (word: string) => told.filter((text) => text.includes(`dependency-${word} db`));
  expect(about('lost').sort()).toEqual([
    expect.stringMatching(/^job dependency-lost db: .*depends on it/),
    expect.stringMatching(/^ring dependency-lost db: .*channel c/),
    expect.stringMatching(/^web dependency-lost db: .*depends on it/),
  ]);
  expect(
    about('back')
      .map((text) => text.split(' ')[0])
      .sort(),
  ).toEqual(['job', 'ring', 'web']);
});

it('in a circle each is restarted once', async () => {
  const { test } = await setUp({ a: { dependsOn: ['b:restart'] }, b: { dependsOn: ['a:restart'] } });
  const before = await bootIds(test);
  await test.client.restart('a', {});
  await until('b was restarted', async () => {
    const b = await test.client.inspect('b');
    return b.state === 'running' && b.bootId !== before.b;
  });
  const { a } = await bootIds(test);
  expect(a).not.toBe(before.a);
  await toldUntil(test, 'a dependency-back b');
  expect((await bootIds(test)).a).toBe(a);
  expect(test.daemon.supervisor.get('a').state).toBe('running');
});

it('one that somebody looks at is told and left alone', async () => {
  const { test } = await setUp({ db: {}, web: { dependsOn: ['db:restart'] } });
  const before = await bootIds(test);
  await test.client.holdHealing('web', { seconds: 3600 });
  await test.client.restart('db', {});
  const told = await toldUntil(test, 'web heal-held');
  expect(told).toContainEqual(expect.stringMatching(/^web dependency-back db/));
  expect((await bootIds(test)).web).toBe(before.web);
});

it('what is no name is refused', async () => {
  const test = await startDaemon();
  const create = test.create({ name: 'web', command: ['true'], dependsOn: ['db:always'] });
  await expect(create).rejects.toMatchObject({ code: 'invalid', field: 'dependsOn[0]' });
});
