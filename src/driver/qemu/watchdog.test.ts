import { expect, it } from 'vitest';
import { Watchdog } from './watchdog.ts';

it('a watchdog that nobody feeds says nothing', () => {
  const watchdog = new Watchdog();
  watchdog.ranOut(0);
  expect(watchdog.beats(10_000)).toBeUndefined();
});

it('one that ran out says so until the guest has answered what it was asked since, however late it answers what it was asked before', () => {
  const watchdog = new Watchdog();
  watchdog.isFed = true;
  expect([watchdog.beats(undefined), watchdog.beats(1_000)]).toEqual([1, 2]);
  watchdog.ranOut(1_500);
  expect([watchdog.beats(undefined), watchdog.beats(1_000), watchdog.beats(1_500)]).toEqual(['none', 'none', 'none']);
  expect(watchdog.beats(1_501)).toBe(3);
  watchdog.ranOut(2_000);
  expect(watchdog.beats(1_501)).toBe('none');
});
