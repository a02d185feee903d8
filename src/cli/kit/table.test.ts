import { expect, it } from 'vitest';
import { age, table } from './table.ts';

it('lays out columns, numbers to the right', () => {
  expect(
    table(
      ['NAME', 'PID'],
      [
        ['a', '12345'],
        ['long-name', '7'],
      ],
      ['PID'],
    ),
  ).toBe('NAME         PID\na          12345\nlong-name      7\n');
});

it.each([
  [0, '0s'],
  [119_000, '119s'],
  [120_000, '2m'],
  [7_200_000, '2h'],
  [172_800_000, '2d'],
])('tells an age of %d ms as %s', (milliseconds, text) => {
  expect(age(new Date(1_000_000).toISOString(), 1_000_000 + milliseconds)).toBe(text);
});

it('shows cells in one line without what a terminal would obey, and as wide as that', () => {
  expect(
    table(
      ['NAME', 'REASON'],
      [
        ['a', 'x\x1b[2J\u202ey\nz\u200b'],
        ['b', 'ok'],
      ],
    ),
  ).toBe('NAME  REASON\na     xy z\nb     ok\n');
});

it('has room for more rows than a call has arguments', () => {
  const rows = Array.from({ length: 200_000 }, () => ['x']);
  expect(table(['N'], rows).length).toBe(2 * 200_001);
});
