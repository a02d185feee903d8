import { expect, it } from 'vitest';
import { Watchdog } from './watchdog.ts';

it('a watchdog that nobody feeds says nothing', () => {
  const watchdog = new Watchdog();
  watchdog.ranOut(0);
  expect(watchdog.beats(1, 10_000)).toBeUndefined();
});

it('one that ran out says so until the guest is heard again, and not by what it had said before', () => {
  const watchdog = new Watchdog();
  watchdog.isFed = true;
  expect([watchdog.beats(1, 0), watchdog.beats(1, 1_000)]).toEqual([1, 2]);
  watchdog.ranOut(1_500);
  expect(watchdog.beats(1, 2_000)).toBe('none');
  // What was on its way.
  expect(watchdog.beats(2, 2_900)).toBe('none');
  expect(watchdog.beats(2, 4_000)).toBe('none');
  expect(watchdog.beats(2, 60_000)).toBe('none');
  expect(watchdog.beats(3, 61_000)).toBe(3);
});
