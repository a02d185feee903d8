import { describe, expect, it } from 'vitest';
import { hostPlacement } from './placement.ts';
import { checkElastic, checkSize, declaredSize, machineSize, sizedRequest, sizeOf } from './size.ts';
import type { Bounds } from './spec.ts';

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

describe('a share of CPUs', () => {
  const share = (milliCpus: number, cpus: Bounds | null = { min: 0.1, max: 0.9 }) => ({
    ...{ cpus: 1, memoryBytes: 256 * MIB },
    elastic: cpus && { cpus, memoryBytes: null },
    partition: {
      cpus: { kind: 'shared', milliCpus, weight: 100 },
      memory: { kind: 'size', bytes: 256 * MIB, node: null, hugePageBytes: null },
      devices: [],
    } as const,
  });

  it('is what it has, while its machine has whole vCPUs', () => {
    expect(declaredSize(share(250))).toEqual({ cpus: 0.25, memoryBytes: 256 * MIB });
    expect(machineSize(share(250))).toEqual({ cpus: 1, memoryBytes: 256 * MIB });
    expect(sizeOf({ spec: share(250), size: { cpus: 0.95, memoryBytes: 256 * MIB } }).cpus).toBe(0.9);
    expect(sizedRequest(share(250).partition, { cpus: 0.7, memoryBytes: 256 * MIB }).cpus).toMatchObject({
      milliCpus: 700,
    });
    const grown = { placement: { partition: { shared: { cpus: [3], milliCpus: 700, weight: 50 } }, vcpuCpus: [3] } };
    const place = (cpus: number) =>
      hostPlacement({ spec: share(250), size: { cpus, memoryBytes: 256 * MIB }, ...grown } as never);
    // It may use no more than it has and than is its own.
    expect([place(0.5), place(0.9)]).toMatchObject([
      { vcpuCpus: [3], mostCpus: 0.5, weight: 25 },
      { vcpuCpus: [3], mostCpus: 0.7, weight: 35 },
    ]);
  });

  it.each([
    [share(250), 0.05, /web cannot have 0.05 CPUs: it may have 0.1 to 0.9/],
    [share(250), 0.2501, /thousandths/],
    [share(250, null), 0.5, /it was started with 0.25 and no bounds/],
    [elastic, 1.5, /whole ones/],
  ])('is refused where it cannot be: %#', (spec, cpus, message) => {
    expect(() => checkSize('web', spec, { cpus, memoryBytes: spec.memoryBytes })).toThrow(message);
  });

  it('has bounds within which it needs the same number of vCPUs', () => {
    expect(() => checkElastic(share(250))).not.toThrow();
    expect(() => checkElastic(share(250, { min: 0.1, max: 1.5 }))).toThrow(/the same number of CPUs/);
    expect(() => checkElastic({ ...elastic, elastic: { cpus: { min: 0.5, max: 6 }, memoryBytes: null } })).toThrow(
      /whole/,
    );
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
