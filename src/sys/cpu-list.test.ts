import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatCpuList, MAX_CPU, parseCpuList, parseCpuMask } from './cpu-list.ts';

const cpuSet = fc
  .uniqueArray(fc.integer({ min: 0, max: 300 }), { minLength: 1 })
  .map((cpus) => cpus.sort((a, b) => a - b));

describe('CPU lists', () => {
  it('reads and writes what the kernel writes', () => {
    expect(parseCpuList('0-2,5\n')).toEqual([0, 1, 2, 5]);
    expect(parseCpuList('8,0-1')).toEqual([0, 1, 8]);
    expect(formatCpuList([5, 0, 1, 2])).toBe('0-2,5');
    expect(formatCpuList([])).toBe('');
    fc.assert(fc.property(cpuSet, (cpus) => void expect(parseCpuList(formatCpuList(cpus))).toEqual(cpus)));
  });

  it.each([
    '',
    'a',
    '1-',
    '-1',
    '3-1',
    '0-3,2',
    '1,1',
    '65536',
    '0-4294967295',
    '1e3',
    '0x1',
    `${'0-65535,'.repeat(99)}1`,
  ])('refuses %j', (text) => expect(() => parseCpuList(text)).toThrow(RangeError));

  it('reads as far as the bound', () => expect(parseCpuList(`0-${MAX_CPU}`)).toHaveLength(MAX_CPU + 1));
});

describe('CPU masks', () => {
  it('reads words, the highest first', () => {
    expect(parseCpuMask('00000001,8000000f\n')).toEqual([0, 1, 2, 3, 31, 32]);
    expect(parseCpuMask('3')).toEqual([0, 1]);
    expect(parseCpuMask('0')).toEqual([]);
  });

  it.each(['', 'g', '123456789', '1,', '-1'])('refuses %j', (text) =>
    expect(() => parseCpuMask(text)).toThrow(RangeError),
  );
});
