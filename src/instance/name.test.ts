import { expect, it } from 'vitest';
import { checkName } from '../core/name.ts';
import { generateName } from './name.ts';

it('makes up names nobody has, even when nearly all are taken', () => {
  const taken = new Set<string>();
  let seed = 1;
  const random = () => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed / 2_147_483_647;
  };
  for (let count = 0; count < 20_000; count++) taken.add(checkName(generateName((name) => taken.has(name), random)));
  expect(taken.size).toBe(20_000);
});
