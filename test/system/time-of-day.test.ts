/** The host's time of day is set anew, by an hour, while the daemon runs: nothing waits for it to be as late again. */
import { expect, it } from 'vitest';
import { BellThrottle } from '../../src/channel/bell-throttle.ts';
import { Patience } from '../../src/guest/patience.ts';
import { Traffic } from '../../src/service/traffic.ts';
import type { ServiceRecord } from '../../src/service/types.ts';
import { ClockSteps } from '../../src/sys/clock.ts';
import type { PolykernelError } from '../../src/sys/errors.ts';
import { ManualClock } from '../support/manual-clock.ts';

const HOUR_MS = 3_600_000;

it.each([-HOUR_MS, HOUR_MS])('channels ring as before (%d ms)', (step) => {
  const clock = new ManualClock();
  let rung = 0;
  const throttle = new BellThrottle(clock, () => {
    rung += 1;
  });
  throttle.ring();
  clock.shift(step);
  for (let bell = 0; bell < 5000; bell++) {
    throttle.ring();
    clock.advance(1);
  }
  expect(rung).toBe(5001);
});

it.each([-HOUR_MS, HOUR_MS])('a guest that reads nothing is cut off all the same (%d ms)', (step) => {
  const clock = new ManualClock();
  const ends: PolykernelError[] = [];
  const patience = new Patience('web', clock, (error) => ends.push(error));
  patience.rest(false);
  clock.shift(step);
  clock.advance(1);
  patience.full('99 frames');
  clock.advance(30_000);
  expect(ends).toMatchObject([{ code: 'protocol' }]);
});

it.each([-HOUR_MS, HOUR_MS])('a service knows its rates and latencies again within seconds (%d ms)', (step) => {
  const record = { targets: [{ instance: 'web' }], slo: { latency: null, availability: null } };
  let now = Date.parse('2026-01-01T00:00:00Z');
  const traffic = new Traffic(record as unknown as ServiceRecord, now);
  let requests = 0;
  const second = (microseconds: number) => {
    now += 1000;
    requests += 10;
    traffic.whole.observe(1, { requests, errors: 0, connectErrors: 0, retries: 0, inFlight: 0 } as never);
    traffic.whole.sample(now);
    const outcome = { ok: true, microseconds };
    traffic.add({ at: now, service: 'api', server: 'web', outcome, weight: 10 });
  };
  for (let count = 0; count < 20; count++) second(1_000_000);
  expect(traffic.whole.perSecond(now)).toBe(10);
  now += step;
  for (let count = 0; count < 2; count++) second(1000);
  expect(traffic.latency(now, 'web').max).toBeLessThan(2);
  expect(traffic.whole.perSecond(now)).toBe(10);
  // As late as it was then: what was seen then is not seen again.
  for (let count = 0; count < 3600; count++) second(1000);
  expect(traffic.latency(now, 'web').max).toBeLessThan(2);
});

it('a step is told once, and small ones when they come to one', () => {
  const clock = new ManualClock();
  const steps = new ClockSteps(clock, 100);
  clock.advance(HOUR_MS);
  expect(steps.take()).toBe(false);
  clock.shift(-HOUR_MS);
  expect([steps.take(), steps.take()]).toEqual([true, false]);
  clock.shift(60);
  expect(steps.take()).toBe(false);
  clock.shift(60);
  expect([steps.take(), steps.take()]).toEqual([true, false]);
});
