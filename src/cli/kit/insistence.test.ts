import { expect, it } from 'vitest';
import { Insistence } from './insistence.ts';

const INTERRUPT = Buffer.from('\x03');

it('lets go of a guest that says nothing to the third Ctrl-C, three seconds after the first', () => {
  const insistence = new Insistence();
  expect([0, 1000, 2000, 2999, 3000].map((at) => insistence.pressed(INTERRUPT, at))).toEqual([
    false,
    false,
    false,
    false,
    true,
  ]);
});

it('does not where it was pressed twice, or another key was, or the guest says something', () => {
  const insistence = new Insistence();
  expect([0, 5000].map((at) => insistence.pressed(INTERRUPT, at))).toEqual([false, false]);
  expect(insistence.pressed(Buffer.from('\x03q'), 6000)).toBe(false);
  expect([7000, 9000].map((at) => insistence.pressed(INTERRUPT, at))).toEqual([false, false]);
  insistence.heard();
  expect([11_000, 12_000, 13_000].map((at) => insistence.pressed(INTERRUPT, at))).toEqual([false, false, false]);
});

it('does not where a key that is held down says it often, and the guest is a little late', () => {
  const insistence = new Insistence();
  for (let at = 0; at < 2_000; at += 30) expect(insistence.pressed(INTERRUPT, at)).toBe(false);
  insistence.heard();
  expect(insistence.pressed(INTERRUPT, 4_000)).toBe(false);
});
