import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EXAMPLES } from '../../test/support/advice-examples.ts';
import { ledger, machine, networkCard, partition, pool, range, share, withCpus } from '../../test/support/machines.ts';
import type { InstanceFacts } from './advice/rule.ts';
import { ADVICE_IDS, type AdviceInput, advise } from './advice.ts';
import { EMPTY_LEDGER } from './ledger.ts';

const docs = fileURLToPath(new URL('../../docs/advice/', import.meta.url));
const kvm = (vcpus: number, gib: number): InstanceFacts => ({
  accelerator: 'kvm',
  vcpus,
  memoryBytes: gib * 2 ** 30,
});
const uml: InstanceFacts = { accelerator: null, vcpus: 1, memoryBytes: 2 ** 28 };
const found = (input: AdviceInput) => advise(input).map(({ severity, id, subject }) => `${severity} ${id} ${subject}`);

describe('pages', () => {
  test.each(ADVICE_IDS)('%s has one, with an example that is what the rule gives', (id) => {
    const page = readFileSync(`${docs}${id}.md`, 'utf8');
    const advice = advise(EXAMPLES[id]).filter((each) => each.id === id);
    expect(advice.length).toBeGreaterThan(0);
    for (const { subject, message, remedy, page: path } of advice) {
      expect(page).toContain(`${id} ${subject}: ${message}\n    ${remedy}\n`);
      expect(path).toBe(`docs/advice/${id}.md`);
    }
    expect(readFileSync(`${docs}README.md`, 'utf8')).toContain(`(${id}.md)`);
  });

  test('there is none without an id', () => {
    const pages = readdirSync(docs).filter((name) => name !== 'README.md');
    expect(pages.sort()).toEqual(ADVICE_IDS.map((id) => `${id}.md`));
  });
});

describe('a plan that uses the machine well gets no advice', () => {
  test('on a server with two nodes', () => {
    const topology = {
      ...machine({ packages: 2, coresPerL3: 16, threads: 2, gibPerNode: 64 }),
      pci: [networkCard('0000:3b:00.0', { node: 1, iommuGroup: 7 })],
    };
    const given = pool(
      topology.cpus.map(({ id }) => id).filter((id) => id % 16 >= 2),
      [
        [0, 48],
        [1, 48],
      ],
      { sharedCpus: [14, 15, 46, 47], devices: ['0000:3b:00.0'] },
    );
    const partitions = {
      batch: share([14], 500, [[0, 1]]),
      db: partition([18, 19, 50, 51], [[1, 8]], { devices: ['0000:3b:00.0'], hugePageBytes: 2 ** 30 }),
      web: partition([2, 34], [[0, 2]]),
    };
    topology.numaNodes = topology.numaNodes.map((node) => ({
      ...node,
      hugePages: [{ sizeBytes: 2 ** 30, total: 8, free: 0 }],
    }));
    const instances = { batch: uml, db: kvm(4, 8), web: kvm(2, 2) };
    const irqs = [{ irq: 9, name: 'acpi', cpus: [0] }];
    expect(advise({ topology, ledger: ledger(given, partitions), instances, irqs })).toEqual([]);
  });

  test('on a virtual machine of two CPUs', () => {
    const topology = machine({ coresPerL3: 2, gibPerNode: 8 });
    const one = ledger(pool([1], [[0, 4]]), { web: partition([1], [[0, 1]]) });
    expect(advise({ topology, ledger: one, instances: { web: uml } })).toEqual([]);
  });

  test('without a pool', () => {
    expect(advise({ topology: machine({ threads: 2 }), ledger: EMPTY_LEDGER, instances: { web: uml } })).toEqual([]);
  });
});

describe('each rule keeps quiet where it should', () => {
  const smt = machine({ threads: 2 });

  test('smt-sharing: threads that were asked for singly are only information', () => {
    const { requests: _none, ...input } = EXAMPLES['smt-sharing'];
    const any = { kind: 'count', count: 2, numa: null, smt: 'any', cache: 'any', near: null } as const;
    const memory = { kind: 'size', bytes: 2 ** 30, node: null, hugePageBytes: null } as const;
    const requests = { web: { cpus: any, memory, devices: [] } };
    expect(found({ ...input, requests })).toEqual(['warning smt-sharing db', 'info smt-sharing web']);
  });

  test('smt-sharing: sees threads of the host and of the shared class', () => {
    const given = pool([1, 2, 3, 6, 7], [[0, 8]], { sharedCpus: [6] });
    const input = { topology: smt, ledger: ledger(given, { web: partition([1, 2], [[0, 2]]) }), instances: {} };
    expect(advise(input)[0]!.message).toBe(
      '2 threads of its cores belong to others: CPU 1 with CPU 5 (the host kernel), CPU 2 with CPU 6 (the shared class)',
    );
  });

  test('smt-sharing: a sibling that is offline shares nothing', () => {
    const topology = withCpus(smt, (cpu) => cpu.id >= 4, { online: false });
    const input = {
      topology,
      ledger: ledger(pool([1, 2], [[0, 8]]), { web: partition([1], [[0, 1]]) }),
      instances: {},
    };
    expect(found(input)).toEqual([]);
  });

  test('remote-memory: memory beside CPUs of a node without memory is near', () => {
    const topology = machine({ packages: 2 });
    topology.numaNodes = topology.numaNodes.map((node) => (node.id === 1 ? { ...node, memoryBytes: 0 } : node));
    const mine = ledger(pool([2, 3, 6, 7], [[0, 8]]), { web: partition([6, 7], [[0, 2]]) });
    expect(found({ topology, ledger: mine, instances: {} })).toEqual([]);
  });

  test('ram-per-core: one CPU has nobody to contend with, and the limit itself is enough', () => {
    const topology = machine();
    const instances = { one: kvm(1, 1 / 16), four: kvm(4, 1) };
    expect(found({ topology, ledger: EMPTY_LEDGER, instances })).toEqual([]);
  });

  test('housekeeping-cpus: half a core is too little unless the machine is one core', () => {
    const half = { topology: smt, ledger: ledger(pool([1, 2, 3, 4, 5, 6, 7], [[0, 8]])), instances: {} };
    expect(found(half)).toContain('warning housekeeping-cpus pool');
    const core = {
      topology: machine({ coresPerL3: 1, threads: 2 }),
      ledger: ledger(pool([1], [[0, 8]])),
      instances: {},
    };
    expect(found(core)).toEqual(['info smt-sharing pool']);
  });

  test('iommu-group: bridges stay with the host, and functions of one owner may share', () => {
    const pci = ['0', '1', '2'].map((each) => networkCard(`0000:3b:00.${each}`, { iommuGroup: 3 }));
    pci[2] = { ...pci[2]!, class: 0x060400 };
    const devices = ['0000:3b:00.0', '0000:3b:00.1'];
    const mine = ledger(pool([2, 3], [[0, 8]], { devices }), { web: partition([2], [[0, 1]], { devices }) });
    expect(found({ topology: { ...machine(), pci }, ledger: mine, instances: {} })).toEqual([]);
  });

  test('tcg-vcpus: says it instead of overcommit, and without a partition only for many', () => {
    const tcg = (vcpus: number): InstanceFacts => ({ ...kvm(vcpus, 8), accelerator: 'tcg' });
    const input = { topology: machine(), ledger: EMPTY_LEDGER, instances: { many: tcg(9), some: tcg(8) } };
    expect(found(input)).toEqual(['warning tcg-vcpus many']);
    expect(found(EXAMPLES['tcg-vcpus'])).toEqual(['warning tcg-vcpus build']);
    const { instances, ...crowded } = EXAMPLES['tcg-vcpus'];
    const onKvm = { build: { ...instances.build!, accelerator: 'kvm' as const } };
    expect(found({ ...crowded, instances: onKvm })).toContain('warning overcommit build');
  });

  test('overcommit: says that the pool has most of a node', () => {
    const input = { topology: machine(), ledger: ledger(pool([2, 3], [[0, 15]])), instances: {} };
    expect(advise(input)[0]!.message).toBe("the pool has 15 GiB of node 0's 16 GiB, which is more than 90 %");
  });

  test('huge-page-shortage: large KVM guests without huge pages are told once', () => {
    const mine = ledger(pool([1, 2, 3], [[0, 12]]), { a: partition([2], [[0, 4]]), b: partition([3], [[0, 5]]) });
    const input = { topology: machine(), ledger: mine, instances: { a: kvm(1, 4), b: kvm(1, 5) } };
    expect(found(input)).toEqual(['info huge-page-shortage pool']);
  });

  test('offline-cpus: SMT switched off is meant, whole cores that are off are not', () => {
    const off = withCpus(smt, (cpu) => cpu.id >= 4, { online: false });
    expect(found({ topology: off, ledger: EMPTY_LEDGER, instances: {} })).toEqual([]);
    const core = withCpus(smt, (cpu) => cpu.core === 3, { online: false });
    expect(found({ topology: core, ledger: EMPTY_LEDGER, instances: {} })).toEqual(['info offline-cpus host']);
  });
});

test('advice is ordered, deterministic, and about something that exists', () => {
  const topology = {
    ...machine({ packages: 2, threads: 2 }),
    pci: [networkCard('0000:3b:00.0', { node: 1, iommuGroup: 1 })],
  };
  const cpu = fc.integer({ min: 0, max: 15 });
  const owner = fc.record({
    cpus: fc.uniqueArray(cpu, { minLength: 1, maxLength: 6 }),
    gib: fc.integer({ min: 1, max: 8 }),
    node: fc.integer({ min: 0, max: 1 }),
    huge: fc.constantFrom(null, 2 ** 21, 2 ** 30),
    accelerator: fc.constantFrom('kvm' as const, 'tcg' as const, null),
    vcpus: fc.integer({ min: 1, max: 12 }),
  });
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom('a', 'b', 'c'), owner), fc.boolean(), (owners, card) => {
      const taken = new Set<number>();
      const partitions = Object.entries(owners).map(([name, each]) => {
        const cpus = each.cpus.filter((id) => !taken.has(id)).sort((a, b) => a - b);
        for (const id of cpus) taken.add(id);
        const more = { hugePageBytes: each.huge, devices: card && name === 'a' ? ['0000:3b:00.0'] : [] };
        return [name, partition(cpus, [[each.node, each.gib]], more)] as const;
      });
      const given = pool(
        [...taken].sort((a, b) => a - b),
        [[0, 16]],
        { devices: ['0000:3b:00.0'] },
      );
      const instances = Object.fromEntries(
        Object.entries(owners).map(([name, { vcpus, gib, accelerator }]) => [
          name,
          { ...kvm(vcpus, gib), accelerator },
        ]),
      );
      const input = { topology, ledger: ledger(given, Object.fromEntries(partitions)), instances };
      const before = JSON.stringify(input);
      const advice = advise(input);
      expect(JSON.stringify(input)).toBe(before);
      const reversed = Object.fromEntries(Object.entries(instances).reverse());
      expect(advise({ ...input, instances: reversed })).toEqual(advice);
      const keys = advice.map(({ severity, id, subject }) => `${severity === 'warning' ? 0 : 1} ${id} ${subject}`);
      expect(keys).toEqual([...new Set(keys)].sort());
      for (const { subject, message, remedy } of advice) {
        expect(['pool', 'host', ...Object.keys(owners)]).toContain(subject);
        expect(`${message} ${remedy}`).not.toMatch(/undefined|NaN|Infinity|\bnull\b/);
      }
    }),
  );
});

test('a thousand instances on a thousand CPUs', () => {
  const topology = machine({ packages: 8, l3PerNode: 8, coresPerL3: 8, threads: 2, gibPerNode: 512 });
  const owners = range(0, 999).map((index) => [`i${index}`, partition([24 + index], [[0, 0.25]])] as const);
  const given = pool(range(24, 1023), [[0, 400]]);
  const instances = Object.fromEntries(owners.map(([name]) => [name, uml]));
  const advice = advise({ topology, ledger: ledger(given, Object.fromEntries(owners)), instances });
  expect(advice.some(({ id }) => id === 'smt-sharing')).toBe(true);
});
