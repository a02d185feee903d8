import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hostEntries, hostNames, hostTopology } from '../../test/fixtures/hosts/index.ts';
import { MemoryTree } from '../../test/fixtures/hosts/memory-tree.ts';
import { parseTopology, readTopology } from './index.ts';
import { contradiction } from './invariants.ts';
import { readTree } from './read.ts';
import type { Topology } from './topology.ts';

type Files = Record<string, string | { link: string }>;

const read = (files: Files): Topology => readTree(new MemoryTree(new Map(Object.entries(files))), 'test');
const CPU = 'sys/devices/system/cpu';

/** Two cores of one package, as little as a kernel can show. */
const SMALL: Files = {
  [`${CPU}/present`]: '0-1',
  [`${CPU}/online`]: '0-1',
  [`${CPU}/cpu0/topology/physical_package_id`]: '0',
  [`${CPU}/cpu0/topology/core_cpus_list`]: '0',
  [`${CPU}/cpu1/topology/physical_package_id`]: '0',
  [`${CPU}/cpu1/topology/core_cpus_list`]: '1',
  'proc/meminfo': 'MemTotal:  1024 kB\nMemFree:  512 kB',
  'proc/sys/kernel/arch': 'x86_64',
};

const place = ({ cpus }: Topology) => cpus.map(({ package: pkg, core, thread }) => [pkg, core, thread]);

describe('machines of other kinds', () => {
  it('knows core types by their PMU, and by capacity', () => {
    const types = (name: string) => hostTopology(name).cpus.map(({ type }) => type?.[0]);
    expect(types('hybrid-laptop').join('')).toBe('ppppppppeeeeeeee');
    expect(types('arm-big-little').join('')).toBe('eeeepppp');
    expect(new Set(types('arm-server'))).toEqual(new Set([undefined]));
  });

  it('names clusters only where they mean something', () => {
    expect(
      new Set(
        hostTopology('hybrid-laptop')
          .cpus.slice(8)
          .map(({ cluster }) => cluster),
      ).size,
    ).toBe(2);
    expect(hostTopology('xeon-2s').cpus[0]!.cluster).toBeNull();
  });

  it('tells apart the sockets that s390 numbers anew in each book', () => {
    expect(new Set(hostTopology('s390x').cpus.map((cpu) => cpu.package))).toEqual(new Set([0, 1, 2, 3]));
  });

  it.each([
    ['power7', 16, 'ids are -1'],
    ['ia64', 8, 'ids repeat in every node'],
    ['sparc64', 2, 'there are no ids'],
    ['s390x-no-books', 6, 'ids repeat, and no book tells'],
    ['arm-no-ids', 1, 'ids are -1, and one mask holds all'],
  ])('%s has %i packages by its masks: %s', (name, count) => {
    const machine = hostTopology(name);
    expect(new Set(machine.cpus.map((cpu) => cpu.package)).size).toBe(count);
    expect(machine.warnings).toEqual([]);
    expect(contradiction(machine)).toBeUndefined();
  });

  it('keeps the ids of x86, which are unique, where masks end at the node', () => {
    const machine = hostTopology('x86-masks-of-nodes');
    expect(new Set(machine.cpus.map((cpu) => cpu.package))).toEqual(new Set([0, 1]));
    expect(machine.warnings.join()).toMatch(/does not hold all CPUs with its id; the id is believed/);
  });

  it('knows core types by cpufreq where nothing else tells, and takes favoured cores for no type', () => {
    const types = (machine: Topology) => machine.cpus.map(({ type }) => type?.[0] ?? '-').join('');
    expect(types(hostTopology('arm-no-ids'))).toBe('eeeepppp');
    const at = (kHz: readonly [string, string]) =>
      read({
        ...SMALL,
        [`${CPU}/cpu0/cpufreq/cpuinfo_max_freq`]: kHz[0],
        [`${CPU}/cpu1/cpufreq/cpuinfo_max_freq`]: kHz[1],
      });
    expect(types(at(['5000000', '4800000']))).toBe('--');
    expect(types(at(['5000000', '3700000']))).toBe('pe');
    expect(types(at(['5000000', 'what']))).toBe('--');
    expect(types(at(['0', '3700000']))).toBe('--');
  });

  it('says that a balloon is why a node counts less than proc/meminfo', () => {
    const told = hostTopology('vm-balloon').warnings.join();
    expect(told).toMatch(/speaks of 23.5 GiB, the NUMA nodes together of 9.7 GiB; the nodes are believed/);
    expect(told).toMatch(/A balloon \(virtio_balloon\)/);
  });

  it('keeps sparse ids', () => {
    const { cpus, numaNodes } = hostTopology('power9');
    expect(cpus.map(({ id }) => id)).toEqual(expect.arrayContaining([0, 7, 16, 127]));
    expect(numaNodes.map(({ id, cpus }) => [id, cpus.length])).toEqual([
      [0, 24],
      [8, 24],
      [255, 0],
    ]);
  });

  it('keeps an offline CPU with its node, in its package', () => {
    expect(hostTopology('offline-isolated').cpus[12]).toMatchObject({ online: false, package: 1, die: 1, node: 1 });
  });

  it('sees cpusets of both cgroup versions', () => {
    expect(hostTopology('container-v1').limits).toEqual({
      cpus: [16, 17, 18, 19, 48, 49, 50, 51],
      nodes: [1],
      memoryBytes: 8 * 2 ** 30,
    });
    expect(hostTopology('container-v2').limits).toEqual({
      cpus: [0, 1, 2, 3, 4, 5, 6, 7],
      nodes: null,
      memoryBytes: 4 * 2 ** 30,
    });
    expect(hostTopology('desktop').limits).toEqual({ cpus: null, nodes: null, memoryBytes: null });
  });

  it('finds what the host uses, through LVM, md and bridges', () => {
    const uses = Object.fromEntries(hostTopology('xeon-2s').pci.map(({ address, hostUse }) => [address, hostUse]));
    expect(uses).toMatchObject({
      '0000:02:00.0': 'console display',
      '0000:16:02.0': 'leads to 0000:17:00.0',
      '0000:17:00.0': 'root disk /dev/mapper/vg0-root; mounted disk /dev/nvme0n1p1; swap /dev/dm-1',
      '0000:18:00.0': 'mounted disk /dev/md0',
      '0000:3b:00.0': null,
      '0000:3c:00.0': 'default route br0 over eno1',
      '0000:b0:00.0': null,
    });
  });

  it('reads functions with their driver, group and virtual functions', () => {
    const { pci } = hostTopology('xeon-2s');
    expect(pci.find(({ address }) => address === '0000:3b:00.0')).toMatchObject({
      class: 0x020000,
      driver: 'ice',
      node: 0,
      iommuGroup: 30,
      sriov: { totalVfs: 64, numVfs: 4 },
    });
    expect(pci.find(({ address }) => address === '0000:3b:01.2')).toMatchObject({
      physicalFunction: '0000:3b:00.0',
      sriov: null,
    });
    expect(pci.find(({ address }) => address === '0000:af:00.0')).toMatchObject({ driver: null });
  });
});

describe('bad machines', () => {
  it('needs at least one CPU', () => {
    expect(() => read({ 'proc/meminfo': '' })).toThrow(
      expect.objectContaining({ code: 'not-found', hint: expect.any(String) }),
    );
    expect(() => readTopology('/no/such/place')).toThrow(expect.objectContaining({ code: 'not-found' }));
    expect(() => readTopology('')).toThrow(expect.objectContaining({ code: 'invalid' }));
  });

  it('has the ids by which firmware names CPUs, where cpuinfo says them', () => {
    const block = (id: number, apic: number) =>
      `processor\t: ${id}\nflags\t: lm\napicid\t\t: ${apic}\ninitial apicid\t: 9\n`;
    const named = read({ 'proc/cpuinfo': [block(0, 0), block(1, 16)].join('\n') });
    expect(named.cpus.map(({ apicId }) => apicId)).toEqual([0, 16]);
    expect(hostTopology('arm-server').cpus.every((cpu) => !('apicId' in cpu))).toBe(true);
  });

  it('makes do with proc/cpuinfo', () => {
    const block = (id: number, pkg: number, core: number) =>
      `processor\t: ${id}\nphysical id\t: ${pkg}\ncore id\t: ${core}\nflags\t: lm\n`;
    const machine = read({ 'proc/cpuinfo': [block(0, 0, 0), block(1, 0, 0), block(2, 1, 0)].join('\n') });
    expect(place(machine)).toEqual([
      [0, 0, 0],
      [0, 0, 1],
      [1, 1, 0],
    ]);
    expect(machine.architecture).toBe('x86_64');
    expect(machine.warnings.join()).toMatch(/proc\/cpuinfo/);
  });

  it.each([
    [
      'masks that disagree',
      { [`${CPU}/cpu0/topology/core_cpus_list`]: '0-1' },
      [
        [0, 0, 0],
        [0, 0, 1],
      ],
      /CPU 0: .*disagree/,
    ],
    [
      'a core over two packages',
      {
        [`${CPU}/cpu0/topology/core_cpus_list`]: '0-1',
        [`${CPU}/cpu1/topology/core_cpus_list`]: '0-1',
        [`${CPU}/cpu1/topology/physical_package_id`]: '1',
      },
      [
        [0, 0, 0],
        [1, 1, 0],
      ],
      /disagree/,
    ],
    [
      'a mask without its CPU',
      { [`${CPU}/cpu1/topology/core_cpus_list`]: '0' },
      [
        [0, 0, 0],
        [0, 1, 0],
      ],
      /CPU 1: .*does not hold/,
    ],
    [
      'garbage',
      { [`${CPU}/cpu1/topology/core_cpus_list`]: '\x01\xff,,', [`${CPU}/cpu1/topology/core_cpus`]: 'xyz' },
      [
        [0, 0, 0],
        [0, 1, 0],
      ],
      /no set of CPUs: "\?\?,,"/,
    ],
    [
      'huge numbers',
      { [`${CPU}/present`]: '0-4294967295', [`${CPU}/cpu1/topology/physical_package_id`]: '99999999999999999999' },
      [
        [0, 0, 0],
        [0, 1, 0],
      ],
      /package 0 is assumed|present/,
    ],
    [
      'present without directories',
      { [`${CPU}/present`]: '0-60000' },
      [
        [0, 0, 0],
        [0, 1, 0],
      ],
      /present names CPUs/,
    ],
  ] as const)('%s', (_, change, expected, warning) => {
    const machine = read({ ...SMALL, ...change });
    expect(place(machine)).toEqual(expected);
    expect(machine.warnings.join('\n')).toMatch(warning);
    expect(contradiction(machine)).toBeUndefined();
  });

  /** Four CPUs without ids, whose packages and cores are these. */
  const masked = (siblings: readonly string[], cores: readonly string[], ids: readonly string[] = []): Files => ({
    ...SMALL,
    [`${CPU}/present`]: '0-3',
    [`${CPU}/online`]: '0-3',
    ...Object.fromEntries(
      siblings.flatMap((list, cpu): [string, string][] => [
        [`${CPU}/cpu${cpu}/topology/physical_package_id`, ids[cpu] ?? '-1'],
        [`${CPU}/cpu${cpu}/topology/core_siblings_list`, list],
        [`${CPU}/cpu${cpu}/topology/core_cpus_list`, cores[cpu]!],
      ]),
    ),
  });
  const OWN = ['0', '1', '2', '3'];
  const PAIRS = ['0-1', '0-1', '2-3', '2-3'];

  it.each([
    ['masks alone', masked(PAIRS, OWN), [0, 0, 1, 1], /^$/],
    [
      'ids that repeat',
      { ...masked(PAIRS, OWN, ['7', '7', '7', '7']), 'proc/sys/kernel/arch': 's390x' },
      [7, 7, 0, 0],
      /^$/,
    ],
    ['some ids', masked(PAIRS, OWN, ['-1', '-1', '0', '0']), [1, 1, 0, 0], /^$/],
    ['masks that divide a core', masked(OWN, PAIRS), [0, 0, 0, 0], /mask of its package divides its core/],
    [
      'masks that disagree',
      masked(['0-1', '0-2', '1-2', '3'], OWN),
      [0, 0, 1, 2],
      /masks disagree about the package; the lowest/,
    ],
    [
      'masks that disagree, beside ids',
      masked(['0-1', '0-2', '1-2', '3'], OWN, ['4', '4', '5', '5']),
      [4, 4, 5, 5],
      /masks disagree about the package; physical_package_id/,
    ],
    ['ids within one mask', masked(Array(4).fill('0-3'), OWN, ['0', '0', '1', '1']), [0, 0, 1, 1], /has several ids/],
  ] as const)('%s say the packages', (_, files, packages, warning) => {
    const machine = read(files);
    expect(machine.cpus.map((cpu) => cpu.package)).toEqual(packages);
    expect(machine.warnings.filter((each) => !each.startsWith('Nothing says how large')).join()).toMatch(warning);
    expect(contradiction(machine)).toBeUndefined();
  });

  it.each([
    [
      'the mask is impossible',
      { core_cpus_list: '0-1', core_cpus: '2' },
      [[0, 1]],
      /core_cpus_list and core_cpus disagree; the list/,
    ],
    ['the list is impossible', { core_cpus_list: '1', core_cpus: '3' }, [[0, 1]], /disagree; the mask is believed/],
    [
      'the list names CPUs there are not',
      { core_cpus_list: '0-9', core_cpus: '3' },
      [[0, 1]],
      /disagree; the mask is believed/,
    ],
    ['both are possible', { core_cpus_list: '0-1', core_cpus: '1' }, [[0, 1]], /disagree; the list is believed/],
  ])('of a list and a mask that disagree the possible one wins: %s', (_, first, cores, warning) => {
    const topology = `${CPU}/cpu0/topology`;
    const files = {
      ...SMALL,
      [`${topology}/core_cpus_list`]: first.core_cpus_list,
      [`${topology}/core_cpus`]: first.core_cpus,
      [`${CPU}/cpu1/topology/core_cpus_list`]: '0-1',
    };
    const machine = read(files);
    expect([...Map.groupBy(machine.cpus, (cpu) => cpu.core).values()].map((cpus) => cpus.map(({ id }) => id))).toEqual(
      cores,
    );
    expect(machine.warnings.join('\n')).toMatch(warning);
    expect(contradiction(machine)).toBeUndefined();
  });

  it('of caches and nodes too', () => {
    const cache = `${CPU}/cpu0/cache/index0`;
    const machine = read({
      ...SMALL,
      [`${cache}/level`]: '2',
      [`${cache}/type`]: 'Unified',
      [`${cache}/size`]: '512K',
      [`${cache}/shared_cpu_list`]: '1',
      [`${cache}/shared_cpu_map`]: '3',
      'sys/devices/system/node/online': '0',
      'sys/devices/system/node/node0/cpulist': '0-7',
      'sys/devices/system/node/node0/cpumap': '3',
      'sys/devices/system/node/node0/meminfo': 'Node 0 MemTotal: 1024 kB',
    });
    expect(machine.caches).toMatchObject([{ level: 2, cpus: [0, 1] }]);
    expect(machine.warnings.join('\n')).toMatch(/cache L2: shared_cpu_list and shared_cpu_map disagree; the mask/);
    expect(machine.warnings.join('\n')).toMatch(/node0: cpulist and cpumap disagree; the mask/);
  });

  it('believes the first of two nodes that claim a CPU', () => {
    const node = (id: number, cpus: string): Files => ({
      [`sys/devices/system/node/node${id}/cpulist`]: cpus,
      [`sys/devices/system/node/node${id}/meminfo`]: `Node ${id} MemTotal: 512 kB`,
      [`sys/devices/system/node/node${id}/distance`]: '10 7777',
    });
    const machine = read({ ...SMALL, 'sys/devices/system/node/online': '0-1', ...node(0, '0-1'), ...node(1, '1') });
    expect(machine.numaNodes).toMatchObject([{ cpus: [0, 1], distances: [10, 20] }, { cpus: [] }]);
    expect(machine.warnings.join('\n')).toMatch(/CPU 1: nodes 0 and 1 both claim it/);
  });

  it('counts affinity only where no control group can be seen', () => {
    const status = { 'proc/self/status': 'Cpus_allowed_list:\t1\nMems_allowed_list:\t0' };
    expect(read({ ...SMALL, ...status }).limits.cpus).toEqual([1]);
    const group = { 'proc/self/cgroup': '0::/', 'sys/fs/cgroup/cgroup.controllers': '' };
    expect(read({ ...SMALL, ...status, ...group }).limits.cpus).toBeNull();
  });
});

/** Content that files might have after an accident. */
const junk = fc.oneof(
  fc.constantFrom(
    '',
    '0',
    '-1',
    '65535',
    '0-65535',
    '1-0',
    '0,0',
    'ffffffff',
    '18446744073709551615',
    '1e99',
    '0x7fffffff',
    'Unified',
    'toString',
    '__proto__',
    '10 20',
  ),
  fc.string({ unit: 'binary-ascii', maxLength: 30 }),
);
const DAMAGED = hostNames.filter((name) => hostTopology(name).cpus.length <= 64);

it('never throws on a damaged machine, and its invariants hold', () => {
  const kinds = fc.constantFrom('text', 'gone', 'loop', 'outside');
  const damage = fc.array(fc.tuple(fc.nat(), kinds, junk), { minLength: 1, maxLength: 60 });
  fc.assert(
    fc.property(fc.constantFrom(...DAMAGED), damage, (name, changes) => {
      const entries = new Map(hostEntries(name));
      const paths = [...entries.keys()];
      for (const [at, kind, text] of changes) {
        const path = paths[at % paths.length]!;
        if (kind === 'gone') entries.delete(path);
        else if (kind === 'text') entries.set(path, text);
        else entries.set(path, { link: kind === 'loop' ? path.split('/').at(-1)! : '/../../etc/passwd' });
      }
      const machine = readTree(new MemoryTree(entries), name);
      expect(contradiction(machine)).toBeUndefined();
      expect(parseTopology(JSON.parse(JSON.stringify(machine)))).toEqual(machine);
    }),
    { numRuns: 150 },
  );
});

it('never leaves the root, whatever links say', () => {
  const root = mkdtempSync(join(tmpdir(), 'pk-root-'));
  try {
    const put = (path: string, content: string | { link: string }) => {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      if (typeof content === 'string') writeFileSync(join(root, path), content);
      else symlinkSync(content.link, join(root, path));
    };
    for (const [path, content] of Object.entries(SMALL)) if (path !== 'proc/meminfo') put(path, content);
    put('proc/meminfo', { link: '/proc/version' });
    put('proc/self', { link: '../../../../../../../../proc/1' });
    put('proc/1/mountinfo', 'nothing');
    put('sys/bus/pci/devices', { link: '/sys/devices/elsewhere' });
    put('sys/devices/elsewhere/0000:00:01.0/class', '0x020000');
    put('sys/devices/elsewhere/0000:00:01.0/driver', { link: '/sys/bus/pci/drivers/ice' });
    const machine = readTopology(root);
    // The link leads to root/proc/version, which is not there; on the host it is.
    expect(machine.numaNodes[0]!.memoryBytes).toBe(0);
    expect(machine.pci).toMatchObject([{ address: '0000:00:01.0', class: 0x020000, driver: 'ice' }]);
  } finally {
    rmSync(root, { recursive: true });
  }
});
