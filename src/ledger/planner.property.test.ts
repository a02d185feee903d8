/** Properties of every plan (P1-P4 of planner.ts), and its distance from the cheapest plan there is. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { exactPlacement } from '../../test/support/exact-placement.ts';
import { modelHost, modelPool } from '../../test/support/model-host.ts';
import { cores, sharedPart, size, threads, wants } from '../../test/support/placement-request.ts';
import { randomPlacement } from '../../test/support/random-placement.ts';
import { checkLedger } from './ledger.ts';
import type { Placed, PlacementInput, PlacementRequest } from './planner/types.ts';
import { place, placementCost } from './planner.ts';
import { requestedBytes, vcpusOf } from './request.ts';
import type { DeviceRequest } from './types.ts';

const devices = Array.from({ length: 6 }, (_, index) => ({
  address: `0000:0${index}:00.0`,
  node: index % 2,
  iommuGroup: index >> 1,
  class: index < 4 ? 0x020000 : 0x010802,
}));

/** The last two cores of each machine are shared CPUs. */
const machine = fc
  .record({
    packages: fc.constantFrom(1, 2),
    l3PerNode: fc.integer({ min: 1, max: 3 }),
    coresPerL3: fc.integer({ min: 3, max: 4 }),
    threads: fc.constantFrom(1, 2, 4),
  })
  .map((shape) => {
    const pages = [{ sizeBytes: 2 ** 21, total: 1024 }];
    const local = devices.map((device) => ({ ...device, node: device.node % shape.packages }));
    const topology = modelHost(
      { ...shape, memoryBytesPerNode: 8 * 2 ** 30, hugePagesPerNode: pages, devices: local },
      'threads-last',
    );
    return {
      topology,
      pool: modelPool(
        topology,
        [0],
        topology.cpus.slice(-2).map((cpu) => cpu.id),
      ),
    };
  });

const someNode = fc.constantFrom(null, null, null, 0, 1);
const cpus = fc.oneof(
  {
    weight: 4,
    arbitrary: fc
      .tuple(fc.integer({ min: 1, max: 9 }), someNode, fc.boolean(), fc.constantFrom(null, null, '0000:01:00.0'))
      .map(([count, numa, one, near]) => cores(count, { numa, cache: one ? 'shared-l3' : 'any', near })),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(fc.integer({ min: 1, max: 5 }), someNode).map(([count, numa]) => threads(count, { numa })),
  },
  {
    weight: 1,
    arbitrary: fc
      .uniqueArray(fc.nat(12), { minLength: 1, maxLength: 4 })
      .map((list) => ({ kind: 'exact' as const, cpus: list.sort((a, b) => a - b) })),
  },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 1500 }).map((milli) => sharedPart(milli)) },
);
const memory = fc
  .tuple(fc.integer({ min: 1, max: 5 }), someNode, fc.constantFrom(null, null, 2 ** 21))
  .map(([gib, node, page]) => size(gib, node, page));
const wanted: fc.Arbitrary<DeviceRequest[]> = fc.array(
  fc.oneof(
    fc.constantFrom(...devices).map(({ address }) => ({ kind: 'address' as const, address })),
    fc
      .constantFrom('network' as const, 'storage' as const)
      .map((of) => ({ kind: 'class' as const, class: of, count: 1, function: 'any' as const })),
  ),
  { maxLength: 2 },
);
const requests = fc
  .array(fc.record({ cpus, memory, devices: wanted }), { minLength: 1, maxLength: 8 })
  .map((all) => all.map((each, index) => wants(`i${index}`, each.cpus, each)));

/** A plan for everything, then one for the same requests where some run and others are new. */
const input = fc
  .tuple(machine, requests, fc.array(fc.constantFrom('runs', 'fixed', 'new'), { minLength: 8, maxLength: 8 }))
  .map(([{ topology, pool }, all, roles]): PlacementInput => {
    const first = place({ topology, pool, requests: all, fixed: {} });
    const got = new Map(first.placed.map(({ name, partition }) => [name, partition]));
    const has = (name: string, role: string): boolean => roles[Number(name.slice(1))] === role && got.has(name);
    return {
      topology,
      pool,
      requests: all
        .filter(({ name }) => !has(name, 'fixed'))
        .map((each) => (has(each.name, 'runs') ? { ...each, current: got.get(each.name)! } : each)),
      fixed: Object.fromEntries([...got].filter(([name]) => has(name, 'fixed'))),
    };
  });

it('owns nothing twice and nothing outside the pool', () => {
  fc.assert(
    fc.property(input, (given) => {
      const { placed } = place(given);
      const partitions = {
        ...given.fixed,
        ...Object.fromEntries(placed.map(({ name, partition }) => [name, partition])),
      };
      expect(checkLedger({ pool: given.pool, partitions })).toEqual([]);
      const group = new Map(devices.map(({ address, iommuGroup }) => [address, iommuGroup]));
      const owners = new Map<number, string>();
      for (const [name, partition] of Object.entries(partitions)) {
        for (const address of partition.devices) {
          expect(owners.get(group.get(address)!) ?? name).toBe(name);
          owners.set(group.get(address)!, name);
        }
      }
    }),
    { numRuns: 60 },
  );
});

it('gives each what it asks for, or refuses it with a field, a reason and a way out', () => {
  fc.assert(
    fc.property(input, (given) => {
      const { placed, refused } = place(given);
      const inOrder = given.requests.map(({ name }) => name);
      expect(placed.map(({ name }) => name)).toEqual(
        inOrder.filter((name) => placed.some((each) => each.name === name)),
      );
      expect(placed.length + refused.length).toBe(given.requests.length);
      for (const each of placed) checkPlaced(given, given.requests.find(({ name }) => name === each.name)!, each);
      for (const { field, message, hint } of refused) {
        expect(field).toMatch(/^(cpus|memory|devices)/);
        expect(message).not.toBe('no place was found');
        expect(hint).toMatch(/^[A-Z0-9].*[.)]$/);
      }
    }),
    { numRuns: 60 },
  );
});

function checkPlaced(
  { topology, pool, fixed }: PlacementInput,
  { request }: PlacementRequest,
  { partition, vcpuCpus }: Placed,
): void {
  const cpuOf = (id: number) => topology.cpus.find((cpu) => cpu.id === id)!;
  const l3Of = (id: number): number => topology.caches.findIndex((cache) => cache.cpus.includes(id));
  expect(vcpuCpus).toHaveLength(vcpusOf(request.cpus));
  expect(new Set(vcpuCpus).size).toBe(vcpuCpus.length);
  for (const cpu of vcpuCpus) expect(partition.shared?.cpus ?? partition.cpus).toContain(cpu);
  expect(partition.memory.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(requestedBytes(request.memory));
  expect(partition.hugePageBytes).toBe(request.memory.hugePageBytes);
  if (request.memory.kind === 'size' && request.memory.node !== null)
    expect(partition.memory.map(({ node }) => node)).toEqual([request.memory.node]);
  const named = new Set(request.devices.map((device, index) => (device.kind === 'address' ? device.address : index)));
  expect(partition.devices).toHaveLength(named.size);
  for (const device of request.devices)
    if (device.kind === 'address') expect(partition.devices).toContain(device.address);
  if (request.cpus.kind === 'exact') expect(partition.cpus).toEqual(request.cpus.cpus);
  if (request.cpus.kind !== 'count') return;
  const { count, numa, near, cache, smt } = request.cpus;
  const nodes = new Set(partition.cpus.map((id) => cpuOf(id).node));
  if (numa !== null) expect([...nodes]).toEqual([numa]);
  if (near !== null) expect([...nodes]).toEqual([topology.pci.find(({ address }) => address === near)!.node]);
  if (cache === 'shared-l3') expect(new Set(partition.cpus.map(l3Of)).size).toBe(1);
  if (smt === 'any') expect(partition.cpus).toHaveLength(count);
  if (smt === 'any') return;
  const whole = new Set(partition.cpus.map((id) => cpuOf(id).core));
  const all = topology.cpus.filter((cpu) => cpu.online && whole.has(cpu.core)).map((cpu) => cpu.id);
  expect(partition.cpus).toEqual(all);
  expect(all.every((id) => pool.cpus.includes(id) && !pool.sharedCpus.includes(id))).toBe(true);
  expect(
    Object.values(fixed)
      .flatMap((other) => other.cpus)
      .filter((id) => all.includes(id)),
  ).toEqual([]);
}

it('keeps what runs and still is what is asked for', () => {
  fc.assert(
    fc.property(input, (given) => {
      const { placed } = place(given);
      for (const { name, current } of given.requests) {
        if (current !== null)
          expect(placed.find((each) => each.name === name)).toMatchObject({ kept: true, partition: current });
      }
    }),
    { numRuns: 60 },
  );
});

it('is the same whatever the order of keys, and leaves its input alone', () => {
  fc.assert(
    fc.property(input, (given) => {
      const before = JSON.stringify(given);
      const result = JSON.stringify(place(given));
      expect(JSON.stringify(place(reversed(given) as PlacementInput))).toBe(result);
      expect(JSON.stringify(given)).toBe(before);
    }),
    { numRuns: 60 },
  );
});

/** The same value with the keys of all objects in opposite order. */
function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, each]) => [key, reversed(each)]),
  );
}

it('costs at most 2 % more than the cheapest plan there is', () => {
  for (let seed = 1; seed <= 200; seed++) {
    const given = randomPlacement(seed);
    const exact = exactPlacement(given);
    const least = placementCost(given, exact.partitions);
    const { cost, placed } = place(given);
    expect(placementCost(given, Object.fromEntries(placed.map(({ name, partition }) => [name, partition])))).toBe(cost);
    expect(cost, `seed ${seed}`).toBeGreaterThanOrEqual(least - 1e-6);
    expect(cost, `seed ${seed}`).toBeLessThanOrEqual(least * 1.02 + 1e-6);
    if (given.requests.every(({ current }) => current === null))
      expect(exact.points, `seed ${seed}`).toBeCloseTo(least, 6);
  }
});
