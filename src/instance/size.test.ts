import { describe, expect, it } from 'vitest';
import { checkElastic, checkSize, machineSize, sizedRequest, sizeOf } from './size.ts';

const MIB = 2 ** 20;
const fixed = { cpus: 2, memoryBytes: 256 * MIB, elastic: null };
const elastic = {
  ...fixed,
  elastic: { cpus: { min: 1, max: 6 }, memoryBytes: { min: 128 * MIB, max: 512 * MIB } },
};

it('makes the machine as large as its kernel may get', () => {
  expect(machineSize(fixed)).toEqual({ cpus: 2, memoryBytes: 256 * MIB });
  expect(machineSize(elastic)).toEqual({ cpus: 6, memoryBytes: 512 * MIB });
  expect(machineSize({ ...elastic, elastic: { ...elastic.elastic, memoryBytes: null } })).toEqual({
    cpus: 6,
    memoryBytes: 256 * MIB,
  });
});

it('keeps the size that it was given, as far as its bounds still allow that', () => {
  expect(sizeOf({ spec: elastic, size: null })).toEqual({ cpus: 2, memoryBytes: 256 * MIB });
  expect(sizeOf({ spec: elastic, size: { cpus: 5, memoryBytes: 300 * MIB } })).toEqual({
    cpus: 5,
    memoryBytes: 300 * MIB,
  });
  expect(sizeOf({ spec: elastic, size: { cpus: 9, memoryBytes: MIB } })).toEqual({ cpus: 6, memoryBytes: 128 * MIB });
  expect(sizeOf({ spec: fixed, size: { cpus: 9, memoryBytes: MIB } })).toEqual({ cpus: 2, memoryBytes: 256 * MIB });
});

describe('what is refused', () => {
  it('bounds that do not hold what it begins with', () => {
    expect(() => checkElastic({ ...elastic, cpus: 7 })).toThrow(/elastic.cpus goes from 1 to 6.*begins with 7/);
    expect(() => checkElastic({ ...elastic, memoryBytes: 64 * MIB })).toThrow(/128 MiB to 512 MiB.*64 MiB/);
    expect(() => checkElastic(elastic)).not.toThrow();
    expect(() => checkElastic(fixed)).not.toThrow();
  });

  it.each([
    [elastic, { cpus: 0, memoryBytes: 256 * MIB }, /web cannot have 0 CPUs: it may have 1 to 6/],
    [elastic, { cpus: 7, memoryBytes: 256 * MIB }, /web cannot have 7 CPUs/],
    [elastic, { cpus: 2, memoryBytes: 64 * MIB }, /64 MiB of memory: it may have 128 MiB to 512 MiB/],
    [elastic, { cpus: 2, memoryBytes: 256 * MIB + 1 }, /whole MiB/],
    [fixed, { cpus: 1, memoryBytes: 256 * MIB }, /started with 2 and no bounds/],
  ])('a size beyond its bounds: %#', (spec, size, message) => {
    expect(() => checkSize('web', spec, size)).toThrow(message);
  });
});

it('asks the pool for the same as at first, but for the numbers', () => {
  const request = {
    cpus: { kind: 'count', count: 2, numa: 1, smt: 'whole-core', cache: 'any', near: null },
    memory: { kind: 'size', bytes: 256 * MIB, node: 1, hugePageBytes: null },
    devices: [],
  } as const;
  expect(sizedRequest(request, { cpus: 4, memoryBytes: 128 * MIB })).toEqual({
    ...request,
    cpus: { ...request.cpus, count: 4 },
    memory: { ...request.memory, bytes: 128 * MIB },
  });
});
