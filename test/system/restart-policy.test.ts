import { describe, expect, it } from 'vitest';
import { startDaemon, untilState } from '../support/harness.ts';
import { ManualClock } from '../support/manual-clock.ts';

describe('restart policies', () => {
  it('on-failure:N tries N times with growing delays and then gives up', async () => {
    const clock = new ManualClock();
    const test = await startDaemon({ clock });
    await test.create({ name: 'bad', command: ['false'], restart: 'on-failure:3' });
    for (const delay of [1000, 2000, 4000]) {
      const status = await untilState(test, 'bad', 'backoff');
      expect(Date.parse(status.restartAt!) - clock.now()).toBe(delay);
      clock.advance(delay - 1);
      expect((await test.client.inspect('bad')).state).toBe('backoff');
      clock.advance(1);
    }
    expect(await test.client.wait('bad')).toMatchObject({
      state: 'exited',
      restarts: 3,
      exit: { exitCode: 1 },
      restartAt: null,
    });
  });

  it.each([-1, -3_600_000, 3_600_000])(
    'waits as long when the time of day is set anew meanwhile (%d ms)',
    async (shift) => {
      const clock = new ManualClock();
      const test = await startDaemon({ clock });
      await test.create({ name: 'bad', command: ['false'], restart: 'on-failure:1' });
      await untilState(test, 'bad', 'backoff');
      clock.shift(shift);
      clock.advance(999);
      expect((await test.client.inspect('bad')).state).toBe('backoff');
      clock.advance(1);
      expect(await test.client.wait('bad')).toMatchObject({ state: 'exited', restarts: 1 });
    },
  );

  it('on-failure leaves a success alone', async () => {
    const test = await startDaemon({ clock: new ManualClock() });
    await test.create({ name: 'good', command: ['true'], restart: 'on-failure' });
    expect(await test.client.wait('good')).toMatchObject({ restarts: 0, exit: { exitCode: 0 } });
  });

  it('always restarts a success, and not what a person stopped', async () => {
    const clock = new ManualClock();
    const test = await startDaemon({ clock });
    await test.create({ name: 'web', command: ['true'], restart: 'always' });
    await untilState(test, 'web', 'backoff');
    clock.advance(1000);
    expect(await untilState(test, 'web', 'backoff')).toMatchObject({ restarts: 1 });
    expect(await test.client.stop('web')).toMatchObject({ state: 'exited', restartAt: null });
    clock.advance(100_000);
    expect(await test.client.inspect('web')).toMatchObject({ state: 'exited', restarts: 1 });
  });

  it('starts over after a good run', async () => {
    const clock = new ManualClock();
    const test = await startDaemon({ clock });
    await test.create({ name: 'web', command: ['sleep'], restart: 'on-failure' });
    for (const delay of [1000, 2000]) {
      await untilState(test, 'web', 'running');
      await test.client.kill('web', { signal: 6 });
      expect(Date.parse((await untilState(test, 'web', 'backoff')).restartAt!) - clock.now()).toBe(delay);
      clock.advance(delay);
    }
    await untilState(test, 'web', 'running');
    clock.advance(10_000);
    await test.client.kill('web', { signal: 6 });
    // The first restart after a good run is at once.
    expect(Date.parse((await untilState(test, 'web', 'backoff')).restartAt!) - clock.now()).toBe(0);
    // A person need not wait.
    expect(await test.client.start('web')).toMatchObject({ state: 'running', restarts: 0 });
  });

  it('removes what waits to be restarted', async () => {
    const clock = new ManualClock();
    const test = await startDaemon({ clock });
    await test.create({ name: 'bad', command: ['false'], restart: 'always' });
    await untilState(test, 'bad', 'backoff');
    await test.client.remove('bad');
    clock.advance(100_000);
    expect(await test.client.list()).toEqual([]);
  });
});
