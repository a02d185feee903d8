import { expect, test } from 'vitest';
import { ledger, partition, pool, range } from '../../../test/support/machines.ts';
import { marksOf, OTHERS, PALETTE } from './owners.ts';

const owned = (names: readonly string[]) =>
  ledger(
    pool(range(0, 2000), [[0, 8]]),
    Object.fromEntries(names.map((name, index) => [name, partition([index], [])])),
  );
const glyphs = (names: readonly string[]) =>
  Object.fromEntries([...marksOf(owned(names))].map(([name, { glyph }]) => [name, glyph]));

test('an owner gets a letter of its name', () => {
  expect(glyphs(['web', 'db', 'worker', 'wand', '9p'])).toEqual({
    '9p': 'p',
    db: 'd',
    wand: 'w',
    web: 'W',
    worker: 'o',
  });
});

test('letters are distinct as long as there are any', () => {
  const names = range(0, 51).map((index) => `app-${index}`);
  expect(new Set(Object.values(glyphs(names))).size).toBe(52);
});

test('when there are too few letters, owners with most CPUs get them', () => {
  const all = owned(range(0, 99).map((index) => `app-${index}`));
  const big = { ...all, partitions: { ...all.partitions, zoo: partition([100, 101], []) } };
  const marks = marksOf(big);
  expect(marks.get('zoo')!.glyph).toBe('z');
  expect([...marks.values()].filter(({ glyph }) => glyph === OTHERS.glyph)).toHaveLength(101 - 52);
});

test('twelve owners have twelve colours, and a colour depends on nobody else as long as it is free', () => {
  const names = range(0, 11).map((index) => `owner-${index * 7}`);
  expect(new Set([...marksOf(owned(names)).values()].map(({ sgr }) => sgr)).size).toBe(12);
  expect(marksOf(owned(['web'])).get('web')!.sgr).toBe(marksOf(owned(['web', 'zzz'])).get('web')!.sgr);
});

// WCAG 2: relative luminance and contrast; 4.5 is its level AA for text.
test.each(PALETTE)('colour %i stands out from black text, from a dark and from a light terminal', (color) => {
  const luminance = luminanceOf(color);
  expect((luminance + 0.05) / 0.05).toBeGreaterThan(4.5);
  expect(1.05 / (luminance + 0.05)).toBeGreaterThan(1.8);
});

function luminanceOf(color: number): number {
  const level = (index: number) => (index === 0 ? 0 : 55 + 40 * index) / 255;
  const linear = (value: number) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const cube = color - 16;
  const [red, green, blue] = [Math.floor(cube / 36), Math.floor(cube / 6) % 6, cube % 6].map((each) =>
    linear(level(each)),
  );
  return 0.2126 * red! + 0.7152 * green! + 0.0722 * blue!;
}
