import { expect, it } from 'vitest';
import { umlMayFork } from './command.ts';

it.each([
  ['6.1.0', false],
  ['6.12.30', false],
  ['5.19.2', false],
  ['6.13.0', true],
  ['7.0.1', true],
  ['none', false],
])('lets a kernel of version %s make processes with descriptors of their own: %s', (version, may) => {
  expect(umlMayFork({ version })).toBe(may);
});
