import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PolykernelError } from './errors.ts';
import { formatBytes, formatDuration, parseBytes, parseDuration } from './units.ts';

describe('parseBytes', () => {
  it.each([
    ['0', 0],
    ['4096', 4096],
    ['64k', 65_536],
    ['64K', 65_536],
    ['64KiB', 65_536],
    ['512M', 536_870_912],
    ['512 MiB', 536_870_912],
    ['1GiB', 1_073_741_824],
    ['1.5g', 1_610_612_736],
    ['2T', 2_199_023_255_552],
    ['7b', 7],
    [1024, 1024],
  ])('reads %s', (text, bytes) => {
    expect(parseBytes(text)).toBe(bytes);
  });

  it.each(['', '-1', 'M', '512MB', '1e3', '1.5', '0x10', '10 10', '1..5k', '99999999999T', Number.NaN, -5])(
    'refuses %s and names field and value',
    (text) => {
      expect(() => parseBytes(text, '--memory')).toThrow(PolykernelError);
      expect(() => parseBytes(text, '--memory')).toThrow(expect.objectContaining({ field: '--memory', value: text }));
    },
  );
});

describe('formatBytes', () => {
  it.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1 KiB'],
    [1536, '1.5 KiB'],
    [1_048_575, '1 MiB'],
    [536_870_912, '512 MiB'],
    [1_610_612_736, '1.5 GiB'],
  ])('writes %d as %s', (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });
});

describe('parseDuration', () => {
  it.each([
    ['0', 0],
    ['250ms', 250],
    ['10s', 10_000],
    ['1.5s', 1500],
    ['5m', 300_000],
    ['1h30m', 5_400_000],
    ['2d', 172_800_000],
    ['1h0m5s10ms', 3_605_010],
  ])('reads %s', (text, milliseconds) => {
    expect(parseDuration(text)).toBe(milliseconds);
  });

  it.each(['', '10', 's', '-5s', '1m1h', '5s5s', '1.5m', '10sec', 'ms', '1e3s'])('refuses %s', (text) => {
    expect(() => parseDuration(text, '--timeout')).toThrow(
      expect.objectContaining({ code: 'invalid', field: '--timeout', value: text }),
    );
  });
});

describe('formatDuration', () => {
  it.each([
    [0, '0s'],
    [250, '250ms'],
    [1500, '1.5s'],
    [60_000, '1m'],
    [5_400_000, '1h30m'],
    [90_061_001, '1d1h1m1.001s'],
  ])('writes %d as %s', (milliseconds, text) => {
    expect(formatDuration(milliseconds)).toBe(text);
  });

  it('writes what parseDuration reads', () => {
    const same = fc.property(fc.nat(10 ** 10), (value) => parseDuration(formatDuration(value)) === value);
    fc.assert(same);
  });
});
