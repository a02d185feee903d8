import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PolykernelError } from '../sys/errors.ts';
import { assign, changePool, checkLedger, EMPTY_LEDGER, free, initPool, releasePool } from './ledger.ts';
import type { Ledger, Partition, Pool } from './types.ts';

const GIB = 2 ** 30;
const pool = (change: Partial<Pool> = {}): Pool => ({
  cpus: [2, 3, 4, 5, 6, 7],
  sharedCpus: [6, 7],
  memory: [
    { node: 0, bytes: 4 * GIB },
    { node: 1, bytes: 2 * GIB },
  ],
  devices: ['0000:01:00.0', '0000:02:00.0'],
  ...change,
});
const dedicated = (cpus: number[], change: Partial<Partition> = {}): Partition => ({
  cpus,
  shared: null,
  memory: [{ node: 0, bytes: GIB }],
  hugePageBytes: null,
  devices: [],
  ...change,
});
const shared = (cpus: number[], milliCpus: number): Partition =>
  dedicated([], { shared: { cpus, milliCpus, weight: 100 } });

describe('what is refused, with the owner named', () => {
  const ledger = assign(initPool(EMPTY_LEDGER, pool()), {
    web: dedicated([2, 3], { devices: ['0000:01:00.0'] }),
    job: shared([6], 700),
  });
  const conflict = (text: string) =>
    expect.objectContaining({ code: 'conflict', message: expect.stringContaining(text) });

  it.each<[string, Partition, string]>([
    ['a CPU twice', dedicated([3, 4]), 'CPU 3 belongs to db and cannot belong to web'],
    ['a CPU of the shared class', dedicated([6]), 'CPU 6 belongs to the shared class and cannot belong to db'],
    ['a CPU outside the pool', dedicated([1, 4]), 'db owns CPU 1, outside the pool'],
    ['a dedicated CPU shared', shared([4], 100), 'db shares CPU 4, outside the shared class'],
    ['a shared CPU promised too often', shared([6], 301), 'shared CPU 6 is promised 1.001 times'],
    ['nothing at all', dedicated([], { memory: [] }), 'db must have either dedicated or shared CPUs, or memory alone'],
    ['both kinds', { ...shared([7], 100), cpus: [4] }, 'db must have either dedicated or shared CPUs'],
    ['a device twice', dedicated([4], { devices: ['0000:01:00.0'] }), 'device 0000:01:00.0 belongs to db'],
    [
      'a device outside the pool',
      dedicated([4], { devices: ['0000:09:00.0'] }),
      'db owns 0000:09:00.0, outside the pool',
    ],
    [
      'memory one page too much',
      dedicated([4], { memory: [{ node: 0, bytes: 2 * GIB + 4096 }] }),
      'db, job, web have 4 GiB on node 0, 4096 bytes more than the pool',
    ],
  ])('%s', (_what, partition, message) => {
    expect(() => assign(ledger, { db: partition })).toThrow(conflict(message));
  });

  it('a pool that shrinks under an instance', () => {
    expect(() => changePool(ledger, pool({ cpus: [3, 4, 5, 6, 7] }))).toThrow(
      conflict('the pool cannot shrink: web owns CPU 2, outside the pool'),
    );
    expect(() => changePool(ledger, pool({ sharedCpus: [7] }))).toThrow(conflict('job shares CPU 6'));
    expect(() => changePool(ledger, pool({ memory: [{ node: 0, bytes: 2 * GIB - 4096 }] }))).toThrow(
      conflict('job, web have'),
    );
    expect(() => changePool(ledger, pool({ devices: [] }))).toThrow(conflict('web owns 0000:01:00.0'));
  });

  it('a pool that is there, in use, or not there', () => {
    expect(() => initPool(ledger, pool())).toThrow(conflict('there is a pool already: CPUs 2-7'));
    expect(() => releasePool(ledger)).toThrow(conflict('the pool is in use by job, web'));
    expect(() => releasePool(EMPTY_LEDGER)).toThrow(expect.objectContaining({ code: 'not-found' }));
    expect(() => assign(EMPTY_LEDGER, { web: dedicated([2]) })).toThrow(expect.objectContaining({ code: 'not-found' }));
  });
});

it('lets one that stands by own memory alone, and get the CPUs of another one in one step', () => {
  const before = assign(initPool(EMPTY_LEDGER, pool()), { web: dedicated([2]), 'web-standby': dedicated([]) });
  const after = assign(before, { web: dedicated([]), 'web-standby': dedicated([2]) });
  expect(after.partitions['web-standby']?.cpus).toEqual([2]);
  expect(free(after).cpus).not.toContain(2);
});

it('lets owners exchange what they have in one step', () => {
  const before = assign(initPool(EMPTY_LEDGER, pool()), { a: dedicated([2]), b: dedicated([3]) });
  const after = assign(before, { a: dedicated([3]), b: dedicated([2]) });
  expect(after.partitions.a?.cpus).toEqual([3]);
  expect(() => assign(before, { a: dedicated([3]) })).toThrow(PolykernelError);
});

it('says what is free', () => {
  const ledger = assign(initPool(EMPTY_LEDGER, pool()), {
    web: dedicated([2, 3], { devices: ['0000:01:00.0'] }),
    job: shared([6, 7], 701),
  });
  expect(free(ledger)).toEqual({
    cpus: [4, 5],
    shared: [
      { cpu: 6, milliCpus: 649 },
      { cpu: 7, milliCpus: 649 },
    ],
    memory: [
      { node: 0, bytes: 2 * GIB },
      { node: 1, bytes: 2 * GIB },
    ],
    devices: ['0000:02:00.0'],
  });
});

/**
 * The model: one slot per CPU, page, device and thousandth of a shared CPU, each with one owner. An operation must be
 * refused exactly when the model has no free slot for it, and must leave the ledger saying what the model says.
 */
class Model {
  cpus = new Map<number, string>();
  milli = new Map<number, Map<string, number>>();
  pages = new Map<number, string[]>();
  devices = new Map<string, string>();

  static of({ pool, partitions }: Ledger): Model {
    const model = new Model();
    for (const cpu of pool?.cpus ?? []) model.cpus.set(cpu, pool!.sharedCpus.includes(cpu) ? 'shared' : 'free');
    for (const cpu of pool?.sharedCpus ?? []) model.milli.set(cpu, new Map());
    for (const { node, bytes } of pool?.memory ?? []) model.pages.set(node, Array(bytes / 4096).fill('free'));
    for (const device of pool?.devices ?? []) model.devices.set(device, 'free');
    for (const [owner, partition] of Object.entries(partitions)) expect(model.take(owner, partition)).toBe(true);
    return model;
  }

  /** Whether every slot was there and free. */
  take(owner: string, partition: Partition): boolean {
    const [isOwn, isShared] = [partition.cpus.length > 0, partition.shared !== null];
    let all = isOwn || isShared ? isOwn !== isShared : partition.memory.length > 0;
    const put = <Key>(slots: Map<Key, string>, key: Key) => {
      if (slots.get(key) !== 'free') all = false;
      slots.set(key, owner);
    };
    for (const cpu of partition.cpus) put(this.cpus, cpu);
    for (const device of partition.devices) put(this.devices, device);
    for (const { node, bytes } of partition.memory) {
      const pages = this.pages.get(node) ?? [];
      for (let page = 0; page < bytes / 4096; page++) {
        const index = pages.indexOf('free');
        if (index === -1) all = false;
        else pages[index] = owner;
      }
    }
    for (const cpu of partition.shared?.cpus ?? []) {
      const parts = this.milli.get(cpu);
      if (parts === undefined) all = false;
      parts?.set(owner, Math.ceil(partition.shared!.milliCpus / partition.shared!.cpus.length));
      if (parts !== undefined && [...parts.values()].reduce((sum, part) => sum + part, 0) > 1000) all = false;
    }
    return all;
  }
}

const cpuNumbers = fc
  .uniqueArray(fc.integer({ min: 0, max: 9 }), { maxLength: 6 })
  .map((cpus) => cpus.sort((a, b) => a - b));
const memories = fc
  .uniqueArray(
    fc.record({
      node: fc.integer({ min: 0, max: 2 }),
      bytes: fc.integer({ min: 1, max: 6 }).map((pages) => pages * 4096),
    }),
    {
      selector: ({ node }) => node,
      maxLength: 3,
    },
  )
  .map((memory) => memory.sort((a, b) => a.node - b.node));
const deviceNames = fc.uniqueArray(fc.constantFrom('0000:01:00.0', '0000:02:00.0', '0000:03:00.0'), { maxLength: 3 });
const pools: fc.Arbitrary<Pool> = fc
  .record({ cpus: cpuNumbers, share: fc.integer({ min: 0, max: 3 }), memory: memories, devices: deviceNames })
  .map(({ cpus, share, ...rest }) => ({ cpus, sharedCpus: cpus.slice(0, share), ...rest }));
const partitions: fc.Arbitrary<Partition> = fc
  .record({
    cpus: cpuNumbers,
    shared: fc.option(
      fc.record({
        cpus: fc.uniqueArray(fc.integer({ min: 0, max: 5 }), { minLength: 1, maxLength: 3 }),
        milliCpus: fc.integer({ min: 1, max: 2500 }),
        weight: fc.constant(100),
      }),
    ),
    memory: memories,
    hugePageBytes: fc.constant(null),
    devices: deviceNames,
  })
  // Mostly sound ones, else nearly every claim is refused for the same reason.
  .map((partition) =>
    partition.shared !== null && partition.shared.milliCpus % 10 > 0 ? { ...partition, cpus: [] } : partition,
  );
const operations = fc.oneof(
  fc.record({ do: fc.constant('init' as const), pool: pools }),
  fc.record({ do: fc.constant('change' as const), pool: pools }),
  fc.record({ do: fc.constant('release' as const) }),
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('assign' as const),
      changes: fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd'), fc.option(partitions), { maxKeys: 2 }),
    }),
  },
);

it('agrees with the model after every operation, and a refused one changes nothing', () => {
  let accepted = 0;
  fc.assert(
    fc.property(fc.array(operations, { maxLength: 30 }), (list) => {
      let ledger: Ledger = initPool(
        EMPTY_LEDGER,
        pool({ cpus: [0, 1, 2, 3, 4, 5], sharedCpus: [4, 5], memory: [{ node: 0, bytes: 16 * 4096 }] }),
      );
      for (const operation of list) {
        const text = JSON.stringify(ledger);
        const next = attempt(() => {
          switch (operation.do) {
            case 'init':
              return initPool(ledger, operation.pool);
            case 'change':
              return changePool(ledger, operation.pool);
            case 'release':
              return releasePool(ledger);
            case 'assign':
              return assign(ledger, operation.changes);
          }
        });
        expect(JSON.stringify(ledger)).toBe(text);
        expect(next !== undefined).toBe(possible(ledger, operation));
        if (next === undefined) continue;
        accepted += 1;
        expect(checkLedger(next)).toEqual([]);
        Model.of(next);
        ledger = next;
      }
    }),
    { numRuns: 300 },
  );
  expect(accepted).toBeGreaterThan(300);
});

function attempt(action: () => Ledger): Ledger | undefined {
  try {
    return action();
  } catch (error) {
    expect(error).toBeInstanceOf(PolykernelError);
    return undefined;
  }
}

function possible(ledger: Ledger, operation: typeof operations extends fc.Arbitrary<infer T> ? T : never): boolean {
  const owners = Object.keys(ledger.partitions);
  if (operation.do === 'init') return ledger.pool === null;
  if (operation.do === 'release') return ledger.pool !== null && owners.length === 0;
  if (operation.do === 'change') return ledger.pool !== null && fits({ ...ledger, pool: operation.pool });
  const merged = Object.entries({ ...ledger.partitions, ...operation.changes }).filter(
    ([, partition]) => partition !== null,
  );
  return fits({ pool: ledger.pool, partitions: Object.fromEntries(merged) as Ledger['partitions'] });
}

function fits(ledger: Ledger): boolean {
  if (ledger.pool === null) return Object.keys(ledger.partitions).length === 0;
  const model = Model.of({ ...ledger, partitions: {} });
  return Object.entries(ledger.partitions)
    .map(([owner, partition]) => model.take(owner, partition))
    .every(Boolean);
}
