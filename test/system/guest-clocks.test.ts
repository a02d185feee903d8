/** The daemon keeps the time of its guests: guests played by the test, and clocks that it moves. */
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { silentJournal } from '../../src/core/journal.ts';
import { fakeGuest, fakeKernels } from '../../src/driver/fake/driver.ts';
import type { Kernel } from '../../src/driver/index.ts';
import { decodePairs, ToGuest, ToHost, u32 } from '../../src/guest/protocol.ts';
import { connected } from '../../src/guest/testing.ts';
import { GuestClocks } from '../../src/instance/guest-clocks.ts';
import { systemClock } from '../../src/sys/clock.ts';
import { eventually, startDaemon, untilState } from '../support/harness.ts';
import { ManualClock } from '../support/manual-clock.ts';

const EINVAL = 22;

/** What tells how long an answer took: 0 ms unless a test says otherwise. */
let measured = 0;
beforeEach(() => {
  measured = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => measured);
});
afterEach(() => void vi.restoreAllMocks());

async function setUp() {
  const clock = new ManualClock();
  const complaints: string[] = [];
  const clocks = new GuestClocks(clock, { ...silentJournal, error: (text) => void complaints.push(text) });
  const { guest, link } = await connected();
  const ended = Promise.withResolvers<never>();
  const kernel = { guest: link, exited: ended.promise } as unknown as Kernel;
  const state = {
    /** Milliseconds by which the guest's clock is behind. */
    behind: 0,
    answers: true,
    errno: 0,
    asked: 0,
    corrections: [] as string[],
  };
  /** Plays the guest: answers what came. */
  const serve = () => {
    for (const { type, session, payload } of guest.frames.splice(0)) {
      if (type === ToGuest.time && state.answers) {
        state.asked++;
        const time = Buffer.alloc(8);
        time.writeBigUInt64LE(BigInt(clock.now() - state.behind) * 1_000_000n);
        guest.send(ToHost.time, session, time);
      } else if (type === ToGuest.configure) {
        const [[key, ns] = ['', '']] = decodePairs(payload);
        state.corrections.push(`${key} ${Number(ns) / 1e6}`);
        if (state.errno === 0 && key === 'time-step') state.behind -= Number(ns) / 1e6;
        guest.send(ToHost.result, session, u32(state.errno));
      }
    }
  };
  const until = (test: () => boolean) =>
    eventually(() => {
      serve();
      return test();
    });
  /** Time goes on until the guest was asked `times` more. */
  const asked = async (times = 1) => {
    const wanted = state.asked + times;
    await eventually(() => {
      serve();
      if (state.asked < wanted) clock.advance(1_000);
      return state.asked >= wanted;
    });
  };
  const end = () => ended.resolve(undefined as never);
  return { clock, clocks, guest, kernel, state, complaints, until, asked, end };
}

it('a fresh guest is set right at once, one found again little by little', async () => {
  const { clocks, kernel, state, until, asked } = await setUp();
  state.behind = 200;
  clocks.kernelUp(kernel, false);
  await until(() => state.corrections.length > 0);
  const other = await setUp();
  other.state.behind = -200;
  other.clocks.kernelUp(other.kernel, true);
  await other.until(() => other.state.corrections.length > 0);
  expect([...state.corrections, ...other.state.corrections]).toEqual(['time-step 200', 'time-slew -200']);
  state.behind = 9;
  await asked(3);
  expect(state.corrections).toHaveLength(1);
  clocks.close();
  other.clocks.close();
});

it('one that is right is asked seldom, until the clock of the host is set or its own is wrong', async () => {
  const { clock, clocks, kernel, state, until, asked } = await setUp();
  clocks.kernelUp(kernel, false);
  await asked(15);
  /** Both clocks of the host go on alike. */
  const pass = async (seconds: number) => {
    const before = state.asked;
    for (let second = 0; second < seconds; second++) {
      measured += 1_000;
      clock.advance(1_000);
      // The answer is handled before another question may be due.
      for (let turn = 0; turn < 3; turn++) {
        await new Promise((resolve) => setImmediate(resolve));
        await until(() => true);
      }
    }
    return state.asked - before;
  };
  expect(await pass(50)).toBeLessThanOrEqual(26);
  state.behind = 60_000;
  await until(() => {
    measured += 1_000;
    clock.advance(1_000);
    return state.corrections.length > 0;
  });
  expect(state.corrections).toEqual(['time-step 60000']);
  clocks.close();
});

it.each([60_000, -60_000, 300, 1e12])('a clock that is %d ms behind is noticed and set', async (behind) => {
  const { clocks, kernel, state, asked, until } = await setUp();
  clocks.kernelUp(kernel, true);
  await asked();
  state.behind = behind;
  await asked();
  await until(() => state.corrections.length > 0);
  await asked(2);
  expect(state.corrections).toEqual([`time-step ${behind}`]);
  clocks.close();
});

it('a kernel that was paused is said to run once its clock is right', async () => {
  const { clocks, kernel, state, asked, until } = await setUp();
  clocks.kernelUp(kernel, false);
  await asked();
  state.behind = 60_000;
  let done = false;
  const resumed = clocks.resumed(kernel).then(() => {
    done = true;
  });
  await until(() => state.corrections.length > 0 || done);
  expect(done).toBe(false);
  await until(() => done);
  await resumed;
  expect(state.corrections).toEqual(['time-step 60000']);
  clocks.close();
});

it('an answer that was long under way is asked for again, and its difference is no step', async () => {
  const { clock, clocks, kernel, guest, state, asked, until } = await setUp();
  clocks.kernelUp(kernel, true);
  await asked();
  // Asked, then stopped for a minute: its clock has gone on, and the answer comes late.
  await eventually(() => {
    if (!guest.frames.some(({ type }) => type === ToGuest.time)) clock.advance(1_000);
    return guest.frames.some(({ type }) => type === ToGuest.time);
  });
  clock.advance(60_000);
  measured += 60_000;
  const before = state.asked;
  await until(() => state.asked >= before + 2);
  await asked();
  expect(state.corrections).toEqual([]);
  clocks.close();
});

it('an agent that does not know the question is asked once, and nobody waits for it', async () => {
  const { clock, clocks, kernel, guest, state } = await setUp();
  state.answers = false;
  clocks.kernelUp(kernel, true);
  await clocks.resumed(kernel);
  await eventually(() => guest.frames.length > 0);
  for (let second = 0; second < 10; second++) clock.advance(1_000);
  await clocks.resumed(kernel);
  expect(guest.frames.map(({ type }) => type)).toEqual([ToGuest.time]);
  clocks.close();
});

it('a guest that cannot set its clock is complained of once', async () => {
  const { clock, clocks, kernel, state, complaints, until } = await setUp();
  state.behind = 60_000;
  state.errno = EINVAL;
  clocks.kernelUp(kernel, true);
  await until(() => complaints.length > 0);
  clock.advance(10_000);
  expect(clock.pending()).toEqual([]);
  expect([state.corrections, complaints]).toEqual([['time-step 60000'], ['keeping the clock of test']]);
});

it('without a kernel there is no timer', async () => {
  const { clock, clocks, kernel, asked, end } = await setUp();
  clocks.kernelUp(kernel, true);
  await asked();
  end();
  await eventually(() => {
    clock.advance(1_000);
    return clock.pending().length === 0;
  });
  clocks.close();
  await clocks.resumed(kernel);
});

it('the daemon keeps the clock of each kernel', async () => {
  vi.restoreAllMocks();
  let set = 0;
  const now = () => Date.now() + set;
  const test = await startDaemon({ clock: { ...systemClock, now } });
  await test.create({ name: 'web', command: ['sleep', '1000'] });
  await untilState(test, 'web', 'running');
  const guest = fakeGuest(fakeKernels(test.home)[0]!)!;
  const isRight = () => Math.abs(guest.clockAheadMs - set) < 500;
  for (const jump of [60_000, -60_000]) {
    set += jump;
    await eventually(isRight);
    guest.clockAheadMs += jump;
    await eventually(isRight);
  }
  await test.client.pause('web');
  set += 60_000;
  await test.client.resume('web');
  await eventually(isRight);
});
