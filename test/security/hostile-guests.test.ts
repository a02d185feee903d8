/** One guest that means harm beside others: it costs them nothing but a bounded share, and its end is its own. */
import { describe, expect, it } from 'vitest';
import { FakeDriver } from '../../src/driver/fake/driver.ts';
import { HOSTILE } from '../../src/driver/fake/hostile.ts';
import { eventually, gather, startDaemon, type TestDaemon, untilState } from '../support/harness.ts';
import { ManualClock } from '../support/manual-clock.ts';

const FOREVER = ['sleep', '1000'];

/** A hostile guest `evil` and an innocent one, both running. */
async function beside(hostname: string, options: Parameters<typeof startDaemon>[0] = {}): Promise<TestDaemon> {
  const test = await startDaemon(options);
  await test.create({ name: 'innocent', command: FOREVER });
  await test.create({ name: 'evil', hostname, command: FOREVER });
  await untilState(test, 'innocent', 'running');
  await eventually(async () => ['running', 'exited'].includes((await test.client.inspect('evil')).state));
  return test;
}

const exec = async ({ client }: TestDaemon, name = 'innocent') =>
  (await gather(await client.exec(name, { command: ['echo', 'hello'] }))).stdout;

describe.each(Object.values(HOSTILE))('beside a guest that is %s', (hostname) => {
  it('everybody else is served', async () => {
    const test = await beside(hostname);
    const { client } = test;
    for (let round = 0; round < 5; round++) expect(await exec(test)).toBe('hello\n');
    expect((await client.list()).map(({ spec }) => spec.name).sort()).toEqual(['evil', 'innocent']);
    expect(await client.stats()).toHaveLength(2);
    expect(await client.logs('innocent', {}).next()).toMatchObject({ done: true });
    await client.remove('evil', { force: true });
    expect((await client.list()).map(({ spec }) => spec.name)).toEqual(['innocent']);
  });

  it('channels are made and removed, its own as well', async () => {
    const test = await beside(hostname);
    const { client } = test;
    const begun = [
      client.createChannel({ name: 'its', from: 'evil', to: 'innocent' }),
      client.createChannel({ name: 'ours', to: 'innocent' }),
      client.createChannel({ name: 'host' }),
    ];
    // Nobody waits for it but who asked for a channel of its own, and that for a while.
    expect(await begun[1]).toMatchObject({ to: { visible: 'attached' } });
    await client.removeChannel('ours');
    await client.remove('evil', { force: true });
    await Promise.all(begun);
    await client.removeChannel('its');
    await client.removeChannel('host');
    expect(await client.channels()).toEqual([]);
  });
});

it('a guest that never acknowledges is owed a bounded amount, and then its kernel is ended', async () => {
  const clock = new ManualClock();
  const test = await beside(HOSTILE.neverAcks, { drivers: [new FakeDriver({ clock })] });
  const env = { PAD: 'x'.repeat(20_000) };
  const errors: string[] = [];
  await eventually(async () => {
    const remote = await test.client.exec('evil', { command: ['true'], env }).catch((error) => error);
    if (!(remote instanceof Error)) remote.exited?.catch((error: Error) => errors.push(error.message));
    else errors.push(remote.message);
    return errors.some((message) => /does not read what it is sent/.test(message));
  });
  clock.advance(30_000);
  const { exit } = await untilState(test, 'evil', 'exited');
  expect(exit).toMatchObject({ reason: 'died', message: expect.stringMatching(/has read nothing for 30 s/) });
  expect(await exec(test)).toBe('hello\n');
});

it.each([HOSTILE.giantReplies, HOSTILE.garbage])(
  'the kernel of a guest with %s is ended, and that is told in plain words',
  async (hostname) => {
    const test = await beside(hostname);
    const { exit } = await untilState(test, 'evil', 'exited');
    expect(exit).toMatchObject({
      reason: 'died',
      message: expect.stringMatching(/keeps breaking the control protocol/),
    });
    for await (const event of test.client.events({ since: 0 })) {
      expect(event.message).not.toMatch(/[^\n -~]/);
      expect(event.message.length).toBeLessThanOrEqual(1010);
      if (event.name === 'evil' && ['crashed', 'exited'].includes(event.type)) break;
    }
  },
);

it('a flood does not grow the daemon', async () => {
  const test = await beside(HOSTILE.floods);
  const before = process.memoryUsage().external;
  for (let round = 0; round < 20; round++) await exec(test);
  expect(process.memoryUsage().external - before).toBeLessThan(64 * 2 ** 20);
});
