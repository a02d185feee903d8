import { expect, it } from 'vitest';
import { isOnVolume } from './volume-text.ts';

it.each([
  ['/etc/hosts', true],
  ['/etc', true],
  ['/etc/', true],
  ['//etc/./hosts', true],
  ['/etc/hosts.d', false],
  ['/etc/host', false],
  ['/data', false],
])('a volume at %s has /etc/hosts: %s', (target, expected) => {
  expect(isOnVolume([{ target: '/other' }, { target }], '/etc/hosts')).toBe(expected);
});
