import { describe, expect, it } from 'vitest';
import { modelHost } from '../../test/support/model-host.ts';
import type { Topology } from '../topology/index.ts';
import { grownPool, housekeepingCpus, type PoolRequest, resolvePool, shrunkPool } from './pool.ts';

const GIB = 2 ** 30;
/** Two nodes of four cores without SMT and 8 GiB each. */
const host: Topology = modelHost({
  packages: 2,
  nodesPerPackage: 1,
  l3PerNode: 1,
  coresPerL3: 4,
  threads: 1,
  memoryBytesPerNode: 8 * GIB,
});
const request = (change: Partial<PoolRequest> = {}): PoolRequest => ({
  cpus: [2, 3, 4, 5],
  sharedCpus: [],
  memory: { kind: 'size', bytes: 4 * GIB },
  devices: [],
  ...change,
});
const invalid = (text: string) => expect.objectContaining({ code: 'invalid', message: expect.stringContaining(text) });

describe('what a wish means', () => {
  it('spreads memory over the nodes of its CPUs, in proportion', () => {
    expect(resolvePool(request(), host).memory).toEqual([
      { node: 0, bytes: 2 * GIB },
      { node: 1, bytes: 2 * GIB },
    ]);
    expect(resolvePool(request({ cpus: [1, 2, 3, 4] }), host).memory).toEqual([
      { node: 0, bytes: 3 * GIB },
      { node: 1, bytes: GIB },
    ]);
  });

  it("takes the CPUs' share of each node without a size", () => {
    expect(resolvePool(request({ memory: { kind: 'share' }, cpus: [3, 4, 5] }), host).memory).toEqual([
      { node: 0, bytes: 2 * GIB },
      { node: 1, bytes: 4 * GIB },
    ]);
  });

  it('loses no page to rounding', () => {
    const { memory } = resolvePool(request({ cpus: [1, 2, 4], memory: { kind: 'size', bytes: GIB + 4096 } }), host);
    expect(memory.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(GIB + 4096);
    for (const { bytes } of memory) expect(bytes % 4096).toBe(0);
  });

  it('leaves the rest to the host', () => {
    expect(housekeepingCpus(resolvePool(request(), host), host)).toEqual([0, 1, 6, 7]);
    expect(housekeepingCpus(null, host)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });
});

describe('what cannot be given up', () => {
  const offline: Topology = { ...host, cpus: host.cpus.map((cpu) => (cpu.id === 5 ? { ...cpu, online: false } : cpu)) };
  const limited: Topology = { ...host, limits: { cpus: [0, 1, 2, 3], nodes: null, memoryBytes: 2 * GIB } };
  const root = { ...request({ devices: ['0000:01:00.0'] }) };
  const disk: Topology = {
    ...host,
    pci: [
      {
        address: '0000:01:00.0',
        class: 0x010802,
        vendor: 0x8086,
        device: 1,
        driver: 'nvme',
        node: 0,
        iommuGroup: null,
        sriov: null,
        physicalFunction: null,
        hostUse: 'root disk /dev/nvme0n1',
      },
    ],
  };

  it.each<[string, PoolRequest, Topology, string]>([
    ['no CPU', request({ cpus: [] }), host, 'a pool needs at least one CPU'],
    ['a CPU that does not exist', request({ cpus: [6, 7, 8, 9] }), host, 'there are no CPUs 8-9 on this machine'],
    ['an offline CPU', request(), offline, 'CPU 5 is offline'],
    ['a CPU outside the cpuset', request(), limited, 'CPUs 4-5 are not allowed to this process'],
    ['every CPU', request({ cpus: [0, 1, 2, 3, 4, 5, 6, 7] }), host, 'the host kernel would be left without a CPU'],
    ['shared CPUs outside the pool', request({ sharedCpus: [5, 6] }), host, "CPU 6 is not among the pool's CPUs"],
    [
      'memory off by one byte',
      request({ memory: { kind: 'size', bytes: GIB + 1 } }),
      host,
      '1073741825 bytes are not whole pages',
    ],
    [
      'memory one page more than a node has',
      request({ memory: { kind: 'nodes', memory: [{ node: 1, bytes: 8 * GIB + 4096 }] } }),
      host,
      'node 1 has 8 GiB, 4096 bytes too few',
    ],
    [
      'a node that does not exist',
      request({ memory: { kind: 'nodes', memory: [{ node: 7, bytes: GIB }] } }),
      host,
      'there is no NUMA node 7',
    ],
    [
      'all memory',
      request({ memory: { kind: 'size', bytes: 16 * GIB } }),
      host,
      'the host kernel would be left with 0 B',
    ],
    [
      'memory above the limit of the control group',
      request({ cpus: [1], memory: { kind: 'size', bytes: 2 * GIB } }),
      limited,
      'would be left with 0 B',
    ],
    ['a device that does not exist', root, host, 'there is no PCI function 0000:01:00.0'],
    ['a device the host uses', root, disk, '0000:01:00.0 is in use by the host: root disk /dev/nvme0n1'],
  ])('%s', (_what, wish, machine, message) => {
    expect(() => resolvePool(wish, machine)).toThrow(invalid(message));
  });
});

describe('changes', () => {
  const pool = resolvePool(request({ sharedCpus: [5] }), host);
  const nothing = { cpus: [], sharedCpus: [], memory: { kind: 'share' as const }, devices: [] };

  it('grow by CPUs with their memory, or by memory alone', () => {
    expect(grownPool(pool, { ...nothing, cpus: [6] }, host)).toMatchObject({
      cpus: [2, 3, 4, 5, 6],
      sharedCpus: [5],
      memory: [
        { node: 0, bytes: 2 * GIB },
        { node: 1, bytes: 4 * GIB },
      ],
    });
    expect(grownPool(pool, { ...nothing, memory: { kind: 'size', bytes: GIB } }, host)).toMatchObject({
      cpus: pool.cpus,
      memory: [
        { node: 0, bytes: 2.5 * GIB },
        { node: 1, bytes: 2.5 * GIB },
      ],
    });
    expect(() => grownPool(pool, { ...nothing, cpus: [5, 6] }, host)).toThrow(invalid('CPU 5 is in the pool already'));
  });

  it('shrink by CPUs, keeping the memory, or by memory', () => {
    expect(shrunkPool(pool, { ...nothing, cpus: [4, 5] }, host)).toMatchObject({
      cpus: [2, 3],
      sharedCpus: [],
      memory: pool.memory,
    });
    expect(shrunkPool(pool, { ...nothing, memory: { kind: 'size', bytes: GIB } }, host).memory).toEqual([
      { node: 0, bytes: 1.5 * GIB },
      { node: 1, bytes: 1.5 * GIB },
    ]);
  });

  it('shrink by no more than there is', () => {
    expect(() => shrunkPool(pool, { ...nothing, cpus: [6] }, host)).toThrow(invalid('CPU 6 is not in the pool'));
    expect(() => shrunkPool(pool, { ...nothing, devices: ['0000:01:00.0'] }, host)).toThrow(
      invalid('is not in the pool'),
    );
    expect(() => shrunkPool(pool, { ...nothing, cpus: pool.cpus }, host)).toThrow(invalid('nothing would be left'));
    expect(() =>
      shrunkPool(pool, { ...nothing, memory: { kind: 'nodes', memory: [{ node: 1, bytes: 2 * GIB + 4096 }] } }, host),
    ).toThrow(invalid('the pool has 2 GiB on node 1, 4096 bytes too few'));
  });
});
