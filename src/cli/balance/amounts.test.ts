import { expect, it } from 'vitest';
import { parseMemory, parseSeconds } from './amounts.ts';

it('takes times up to a bound', () => {
  expect(parseSeconds('1500ms', '--since', '1h')).toBe(2);
  expect(parseSeconds('1h', '--since', '1h')).toBe(3600);
});

it('takes memory in whole MiB', () => {
  expect(parseMemory('256M', 'SIZE')).toBe(256 * 2 ** 20);
  expect(parseMemory('0.5G', 'SIZE')).toBe(512 * 2 ** 20);
});

it.each([
  [() => parseSeconds('8d', '--since', '7d'), '--since: 8d is longer than 7d'],
  [() => parseSeconds('0s', '--for', '7d'), '--for: 0s is no time at all'],
  [() => parseMemory('0', 'SIZE'), 'SIZE: 0 is 0 B, and no whole number of MiB above 0'],
  [() => parseMemory('256', '--memory'), '--memory: 256 is 256 B, and no whole number of MiB above 0'],
  [() => parseMemory('1.5k', '--memory'), '--memory: 1.5k is 1.5 KiB, and no whole number of MiB above 0'],
])('refuses what it does not take, as it was written: %#', (parse, message) => {
  expect(parse).toThrow(expect.objectContaining({ code: 'invalid', message, hint: expect.any(String) }));
});
