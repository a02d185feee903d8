import { expect, it } from 'vitest';
import { closest } from './closest.ts';

it.each([
  ['rnu', 'run'],
  ['lgos', 'logs'],
  ['Inspct', 'inspect'],
  ['insp', 'inspect'],
  ['frobnicate', undefined],
  ['x', undefined],
  ['', undefined],
])('guesses %j as %j', (word, guess) => {
  expect(closest(word, ['run', 'ps', 'logs', 'inspect'])).toBe(guess);
});
