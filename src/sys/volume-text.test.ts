import { expect, it } from 'vitest';
import { isOnVolume, parseVolume } from './volume-text.ts';

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

it.each([
  ['./a:/b', { readOnly: false }],
  ['./a:/b:ro', { readOnly: true }],
  ['./a:/b:z', { readOnly: false }],
  ['./a:/b:ro,Z', { readOnly: true }],
  ['./a:/b:delegated,suid', { readOnly: false, maySetId: true }],
])('%s is a volume', (text, expected) => {
  expect(parseVolume(text)).toEqual({ source: './a', target: '/b', ...expected });
});

it.each(['./a:b', './a:/b:rx', './a:/b:ro,rw', './a:/b:ro:z', './a:/b:', 'a'])('%s is none', (text) => {
  expect(parseVolume(text)).toBeUndefined();
});
