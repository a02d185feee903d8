import { describe, expect, it } from 'vitest';
import { modelHost, modelPool } from '../../test/support/model-host.ts';
import { cores, GIB, owns, sharedPart, size, threads, wants } from '../../test/support/placement-request.ts';
import type { Topology } from '../topology/topology.ts';
import type { PlacementInput, PlacementRequest } from './planner/types.ts';
import { place } from './planner.ts';

/** 2 nodes x 2 L3s x 4 cores x 2 threads: CPUs 0-7, 8-15 on node 0; 16-23, 24-31 on node 1. 8 GiB each. */
const host = modelHost({ packages: 2, l3PerNode: 2, memoryBytesPerNode: 8 * GIB });

function plan(requests: readonly PlacementRequest[], change: Partial<PlacementInput> = {}, topology: Topology = host) {
  return place({ topology, pool: modelPool(topology), fixed: {}, requests, ...change });
}

const cpusOf = (result: ReturnType<typeof plan>): Record<string, readonly number[]> =>
  Object.fromEntries(result.placed.map(({ name, partition }) => [name, partition.cpus]));

describe('whole cores', () => {
  it('go to the L3 with the least room that fits', () => {
    const result = plan([wants('new', cores(4))], { fixed: { db: owns([8, 9, 10, 11]) } });
    expect(result.placed).toEqual([
      {
        name: 'new',
        partition: owns([12, 13, 14, 15]),
        vcpuCpus: [12, 13, 14, 15],
        reasons: [
          '4 CPUs 12-15: 2 whole cores on the L3 with the least room that fits (node 0)',
          'memory 1 GiB on node 0, where its CPUs are',
        ],
        kept: false,
      },
    ]);
  });

  it('leave the odd thread of the last core idle but owned', () => {
    const [odd] = plan([wants('odd', cores(3))]).placed;
    expect(odd!.partition.cpus).toEqual([0, 1, 2, 3]);
    expect(odd!.vcpuCpus).toEqual([0, 1, 2]);
    expect(odd!.reasons[0]).toContain('1 thread of them stays idle');
  });

  it('are only those of which all online threads are dedicated', () => {
    const pool = modelPool(host, [0], [2]);
    const result = plan([wants('all', cores(4, { cache: 'shared-l3', numa: 0 }))], {
      pool: { ...pool, cpus: pool.cpus.filter((cpu) => cpu < 8) },
    });
    expect(cpusOf(result)).toEqual({ all: [4, 5, 6, 7] });
    const offline = { ...host, cpus: host.cpus.map((cpu) => ({ ...cpu, online: cpu.id !== 1 })) };
    expect(
      cpusOf(plan([wants('one', cores(1, { numa: 0 }))], { pool: { ...pool, cpus: [0], sharedCpus: [] } }, offline)),
    ).toEqual({ one: [0] });
  });

  it('count vCPUs through the siblings of a core first where the kernel numbers them last', () => {
    const x86 = modelHost({ coresPerL3: 4 }, 'threads-last');
    expect(plan([wants('a', cores(4))], {}, x86).placed[0]!.vcpuCpus).toEqual([0, 4, 1, 5]);
  });

  it('are not used that the process may not use', () => {
    const limited = { ...host, limits: { ...host.limits, cpus: [16, 17] } };
    expect(cpusOf(plan([wants('a', cores(2))], {}, limited))).toEqual({ a: [16, 17] });
  });

  it('spread over L3s of one node before going to another node', () => {
    const [big] = plan([wants('big', cores(12))]).placed;
    expect(big!.partition.cpus).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    expect(big!.reasons[0]).toContain('on 2 L3s, since no one L3 has so many free (node 0)');
  });

  it('do not mix performance and efficiency cores', () => {
    const cpus = modelHost({ coresPerL3: 8, threads: 1 }).cpus.map((cpu) => ({
      ...cpu,
      type: cpu.id < 4 ? ('performance' as const) : ('efficiency' as const),
    }));
    const hybrid = { ...modelHost({ coresPerL3: 8, threads: 1 }), cpus };
    const result = cpusOf(plan([wants('a', cores(3)), wants('b', cores(3))], {}, hybrid));
    expect([result.a!, result.b!].map((list) => list.filter((cpu) => cpu < 4).length).sort()).toEqual([0, 3]);
  });
});

describe('single threads', () => {
  it('complete a broken core, never one of which somebody owns whole cores', () => {
    const fixed = { half: owns([20]), odd: owns([0, 1]) };
    const [one] = plan([wants('one', threads(1))], { fixed }).placed;
    expect(one!.partition.cpus).toEqual([21]);
    expect(one!.reasons[0]).toBe('1 CPU 21: 1 thread that completes a core no longer whole (node 1)');
  });
});

describe('constraints', () => {
  it('numa, shared-l3 and near are kept', () => {
    const devices = [{ address: '0000:3b:00.0', node: 1 }];
    const topology = modelHost({ packages: 2, l3PerNode: 2, devices });
    const result = plan(
      [wants('near', cores(2, { near: '0000:3b:00.0' })), wants('numa', cores(8, { numa: 1, cache: 'shared-l3' }))],
      {},
      topology,
    );
    expect(cpusOf(result)).toEqual({ near: [24, 25], numa: [16, 17, 18, 19, 20, 21, 22, 23] });
  });

  it('spread goes over nodes and L3s evenly, over those with room, and is kept', () => {
    const topology = modelHost({ packages: 2, l3PerNode: 2 });
    const l3s = (cpus: readonly number[]) => [...new Set(cpus.map((cpu) => Math.floor(cpu / 8)))].sort();
    const wanted = wants('a', cores(8, { cache: 'spread' }));
    const [a] = plan([wanted], {}, topology).placed;
    expect(l3s(a!.partition.cpus)).toEqual([0, 1, 2, 3]);
    expect(a!.partition.cpus).toHaveLength(8);
    expect(a!.reasons[0]).toContain('on 4 L3s, spread as asked');
    expect(plan([{ ...wanted, current: a!.partition }], {}, topology).placed[0]!.kept).toBe(true);
    // One that was compact is placed anew.
    const compact = plan([wants('a', cores(8))], {}, topology).placed[0]!.partition;
    const again = plan([{ ...wanted, current: compact }], {}, topology).placed[0]!;
    expect([l3s(compact.cpus).length, l3s(again.partition.cpus).length]).toEqual([1, 4]);
    // Where one L3 alone has room, all are there.
    const fixed = { big: owns(Array.from({ length: 24 }, (_, cpu) => cpu)) };
    expect(cpusOf(plan([wants('b', cores(4, { cache: 'spread' }))], { fixed }, topology)).b).toEqual([24, 25, 26, 27]);
    expect(cpusOf(plan([wants('c', threads(2, { cache: 'spread', numa: 0 }))], {}, topology)).c).toEqual([0, 8]);
  });

  it('exact CPUs are given before all others', () => {
    expect(cpusOf(plan([wants('a', cores(8)), wants('b', { kind: 'exact', cpus: [1, 8] })])).b).toEqual([1, 8]);
  });
});

describe('shared CPUs', () => {
  const pool = modelPool(host, [], [0, 1, 16, 17]);

  it('are filled up before the next one is begun, on one node', () => {
    const result = plan(
      ['a', 'b', 'c', 'd'].map((name) => wants(name, sharedPart(name === 'd' ? 1500 : 500))),
      { pool },
    );
    expect(result.refused).toEqual([]);
    expect(Object.fromEntries(result.placed.map(({ name, partition }) => [name, partition.shared!.cpus]))).toEqual({
      a: [16],
      b: [16],
      c: [17],
      d: [0, 1],
    });
  });

  it('never promise more than they are', () => {
    const requests = Array.from({ length: 5 }, (_, index) => wants(`i${index}`, sharedPart(700)));
    const { placed, refused } = plan(requests, { pool });
    expect(placed).toHaveLength(4);
    expect(refused[0]!.message).toBe('needs 0.7 of one shared CPU; the one with most left has 0.3');
  });
});

describe('memory', () => {
  it('spills to the nearest node and says so', () => {
    const [one] = plan([wants('one', cores(2), { memory: size(9) })]).placed;
    expect(one!.partition.memory).toEqual([
      { node: 0, bytes: 8 * GIB },
      { node: 1, bytes: GIB },
    ]);
    expect(one!.reasons[1]).toBe(
      'memory 8 GiB on node 0 and 1 GiB on node 1: node 0, where its CPUs are, has no more, so the rest is on node 1 at distance 21 (10 = local)',
    );
  });

  it('draws the CPUs to a node that has it', () => {
    const fixed = { db: owns([0, 1], { memory: [{ node: 0, bytes: 7 * GIB }] }) };
    expect(plan([wants('new', cores(2), { memory: size(4) })], { fixed }).placed[0]!.partition.memory).toEqual([
      { node: 1, bytes: 4 * GIB },
    ]);
  });

  it('in huge pages is limited by the pages there are', () => {
    const topology = modelHost({ hugePagesPerNode: [{ sizeBytes: 2 ** 21, total: 4 }] });
    const huge = (name: string, bytes: number) =>
      wants(name, cores(2), { memory: { kind: 'size', bytes, node: null, hugePageBytes: 2 ** 21 } });
    const { placed, refused } = plan([huge('a', 3 * 2 ** 21), huge('b', 2 ** 22), huge('c', 2 ** 20)], {}, topology);
    expect(placed.map(({ name }) => name)).toEqual(['a']);
    expect(refused.map(({ message }) => message)).toEqual([
      'needs 4.00 MiB in 2 MiB pages; 2.00 MiB is free (short by 2 MiB)',
      '1048576 bytes are not whole pages of 2 MiB',
    ]);
  });
});

describe('devices', () => {
  const devices = [
    { address: '0000:01:00.0', node: 0, iommuGroup: 1 },
    { address: '0000:01:00.1', node: 0, iommuGroup: 1 },
    { address: '0000:81:00.0', node: 1, iommuGroup: 2 },
    { address: '0000:82:00.0', node: 1, class: 0x010802, iommuGroup: 3 },
  ];
  const topology = modelHost({ packages: 2, l3PerNode: 2, devices });
  const nic = { kind: 'class', class: 'network', count: 1, function: 'any' } as const;

  it('of a class are the nearest, and the CPUs go where they are', () => {
    const drive = { kind: 'class', class: 'nvme', count: 1, function: 'any' } as const;
    const [one] = plan([wants('one', cores(2), { devices: [nic, drive] })], {}, topology).placed;
    expect(one!.partition).toMatchObject({ cpus: [16, 17], devices: ['0000:81:00.0', '0000:82:00.0'] });
    expect(one!.reasons).toContain('device 0000:81:00.0 on node 1, where its CPUs are');
  });

  it('of one IOMMU group go to one owner only', () => {
    const fixed = { db: owns([0, 1], { devices: ['0000:01:00.0'] }) };
    const asked = wants('web', cores(2), { devices: [{ kind: 'address', address: '0000:01:00.1' }] });
    expect(plan([asked], { fixed }, topology).refused).toEqual([
      {
        name: 'web',
        field: 'devices.0',
        message:
          '0000:01:00.0 belongs to db, and functions of IOMMU group 1 can only be given away together with 0000:01:00.1',
        hint: 'Release db, or choose another device.',
      },
    ]);
    expect(
      plan([wants('a', cores(2), { devices: [nic] }), wants('b', cores(2), { devices: [nic] })], { fixed }, topology)
        .refused,
    ).toMatchObject([
      {
        name: 'b',
        message: 'needs 1 network function; 0 of the pool are free',
        hint: expect.stringContaining('Release a or db'),
      },
    ]);
  });
});

describe('what runs', () => {
  const current = owns([28, 29], { memory: [{ node: 0, bytes: GIB }] });

  it('stays exactly where it is, however bad the place', () => {
    const [one] = plan([wants('one', cores(2), { current })]).placed;
    expect(one).toMatchObject({ partition: current, kept: true, reasons: ['stays on CPUs 28-29, where it runs'] });
  });

  it('moves when told to', () => {
    const [one] = plan([wants('one', cores(2), { current })], { move: new Set(['one']) }).placed;
    expect(one).toMatchObject({ partition: owns([0, 1]), kept: false });
  });

  it('keeps the parts that did not change', () => {
    const [one] = plan([wants('one', cores(2), { current, memory: size(2) })]).placed;
    expect(one).toMatchObject({ partition: { cpus: [28, 29], memory: [{ node: 1, bytes: 2 * GIB }] }, kept: false });
  });

  it('keeps its shared CPUs when only its weight changes', () => {
    const pool = modelPool(host, [], [4, 5]);
    const shared = { cpus: [5], milliCpus: 500, weight: 100 };
    const [one] = plan([wants('one', sharedPart(500, 300), { current: owns([], { shared }) })], { pool }).placed;
    expect(one).toMatchObject({ partition: { shared: { ...shared, weight: 300 } }, kept: false });
  });

  it('is not moved for a new one; the hint says that moving would help', () => {
    const small = modelHost({ l3PerNode: 2, coresPerL3: 2, memoryBytesPerNode: 8 * GIB });
    const requests = [
      wants('a', cores(2), { current: owns([0, 1]) }),
      wants('b', cores(2), { current: owns([4, 5]) }),
      wants('new', cores(4, { cache: 'shared-l3' })),
    ];
    const { placed, refused } = plan(requests, {}, small);
    expect(placed.map(({ kept }) => kept)).toEqual([true, true]);
    expect(refused).toEqual([
      {
        name: 'new',
        field: 'cpus.cache',
        message: 'needs 2 whole cores on one L3; the largest free group has 1 (node 0, L3 of CPUs 0-3)',
        hint: 'Release a, or allow cache: any. Moving a would also make room; what runs stays unless told to move.',
      },
    ]);
  });
});
