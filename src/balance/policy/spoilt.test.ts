import { expect, it } from 'vitest';
import { Spoilt } from './spoilt.ts';

it.each([
  [20, 0.0178],
  [60, 0.0059],
  [150, 0.0073],
  [900, 0.009],
])('of %i requests a second lets so many be late that three seconds of ten are spoilt: %f', (arrivals, risk) => {
  const found = new Spoilt(0.3).risk(arrivals);
  expect(found).toBeCloseTo(risk, 3);
  expect(Spoilt.chance(arrivals, found)).toBeCloseTo(0.3, 6);
});

it('looks at what the promise says where many come', () => {
  expect([new Spoilt(0.3).risk(5000), Spoilt.chance(5000, 0.009), Spoilt.chance(5000, 0.011)]).toEqual([0.01, 0, 1]);
});
