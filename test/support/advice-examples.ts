/** One case per id: what its page shows is what these give, word for word (see src/ledger/advice.test.ts). */

import type { InstanceFacts } from '../../src/ledger/advice/rule.ts';
import type { AdviceId, AdviceInput } from '../../src/ledger/advice.ts';
import type { PartitionRequest } from '../../src/ledger/types.ts';
import { ledger, machine, networkCard, partition, pool, range, share, withCpus } from './machines.ts';

const GIB = 2 ** 30;
const facts = (vcpus: number, more: Partial<InstanceFacts> = {}): InstanceFacts => ({
  accelerator: 'kvm',
  vcpus,
  memoryBytes: vcpus * GIB,
  ...more,
});
const wanted = (count: number): PartitionRequest => ({
  cpus: { kind: 'count', count, numa: null, smt: 'whole-core', cache: 'any', near: null },
  memory: { kind: 'size', bytes: GIB, node: null, hugePageBytes: null },
  devices: [],
});

const eight = machine({ coresPerL3: 8 });
/** Four cores of two threads: n and n + 4. */
const smt = machine({ threads: 2 });
const twoNodes = machine({ packages: 2 });
const card = '0000:3b:00.0';

export const EXAMPLES: Record<AdviceId, AdviceInput> = {
  'boot-cpu': { topology: eight, ledger: ledger(pool(range(0, 5), [[0, 8]])), instances: {} },
  'cpuset-limits': {
    topology: { ...eight, limits: { cpus: range(0, 3), nodes: null, memoryBytes: 6 * GIB } },
    ledger: ledger(pool(range(2, 7), [[0, 8]])),
    instances: {},
  },
  'housekeeping-cpus': {
    topology: machine({ packages: 2, coresPerL3: 64, gibPerNode: 256 }),
    ledger: ledger(
      pool(range(2, 127), [
        [0, 200],
        [1, 200],
      ]),
    ),
    instances: {},
  },
  'huge-page-shortage': {
    topology: eight,
    ledger: ledger(pool(range(2, 7), [[0, 8]]), {
      db: partition([4, 5], [[0, 2]], { hugePageBytes: 2 * 2 ** 20 }),
      web: partition([2, 3], [[0, 1]], { hugePageBytes: 2 * 2 ** 20 }),
    }),
    instances: { web: facts(2), db: facts(2) },
  },
  interrupts: {
    topology: eight,
    ledger: ledger(pool(range(2, 7), [[0, 8]]), { web: partition([2, 3], [[0, 2]]) }),
    instances: { web: facts(2) },
    irqs: [
      { irq: 30, name: 'nvme0q1', cpus: [1] },
      { irq: 31, name: 'nvme0q2', cpus: [2] },
      { irq: 40, name: 'eth0-TxRx-3', cpus: [3] },
    ],
  },
  'iommu-group': {
    topology: {
      ...eight,
      pci: [networkCard(card, { iommuGroup: 12 }), networkCard('0000:3b:00.1', { iommuGroup: 12, driver: 'i40e' })],
    },
    ledger: ledger(pool(range(2, 7), [[0, 8]], { devices: [card] }), {
      web: partition([2, 3], [[0, 2]], { devices: [card] }),
    }),
    instances: { web: facts(2) },
  },
  'isolated-cpus': {
    topology: withCpus(eight, (cpu) => cpu.id >= 4, { isolated: true }),
    ledger: ledger(pool([4, 5], [[0, 8]])),
    instances: {},
  },
  'mixed-core-types': {
    topology: {
      ...eight,
      cpus: eight.cpus.map((cpu) => ({ ...cpu, type: cpu.id < 4 ? 'performance' : 'efficiency' })),
    },
    ledger: ledger(pool(range(2, 7), [[0, 8]]), { web: partition(range(2, 5), [[0, 4]]) }),
    instances: { web: facts(4) },
  },
  'odd-cores': {
    topology: smt,
    ledger: ledger(pool([1, 2, 3, 5, 6, 7], [[0, 8]]), { web: partition([1, 2, 5], [[0, 4]]) }),
    requests: { web: wanted(3) },
    instances: { web: facts(3) },
  },
  'offline-cpus': {
    topology: withCpus(eight, (cpu) => cpu.id === 3, { online: false }),
    ledger: ledger(pool(range(2, 7), [[0, 8]]), { web: partition([2, 3], [[0, 2]]) }),
    instances: { web: facts(2) },
  },
  overcommit: {
    topology: eight,
    ledger: ledger(pool(range(2, 7), [[0, 8]], { sharedCpus: [2] }), {
      cron: share([2], 400, [[0, 1]]),
      mail: share([2], 500, [[0, 1]]),
    }),
    instances: { cron: facts(1), mail: facts(1) },
  },
  'ram-per-core': {
    topology: eight,
    ledger: ledger(pool(range(2, 7), [[0, 8]]), { web: partition(range(2, 5), [[0, 0.5]]) }),
    instances: { web: facts(4, { memoryBytes: GIB / 2 }) },
  },
  'remote-device': {
    topology: { ...twoNodes, pci: [networkCard(card, { node: 1 })] },
    ledger: ledger(pool(range(2, 7), [[0, 8]], { devices: [card] }), {
      web: partition([2, 3], [[0, 2]], { devices: [card] }),
    }),
    instances: { web: facts(2) },
  },
  'remote-memory': {
    topology: twoNodes,
    ledger: ledger(
      pool(range(2, 7), [
        [0, 2],
        [1, 8],
      ]),
      {
        web: partition(
          [2, 3],
          [
            [0, 2],
            [1, 4],
          ],
        ),
      },
    ),
    instances: { web: facts(2, { memoryBytes: 6 * GIB }) },
  },
  'absent-function': {
    topology: { ...eight, pci: [networkCard(card, { iommuGroup: 12 })] },
    ledger: ledger(pool(range(2, 7), [[0, 8]], { devices: [card, '0000:3b:00.1'] }), {
      db: partition([4, 5], [[0, 2]], { devices: ['0000:3b:00.1'] }),
      web: partition([2, 3], [[0, 2]], { devices: [card] }),
    }),
    instances: { db: facts(2), web: facts(2, { functions: ['0000:3b:02.4'] }) },
  },
  'split-device': {
    topology: {
      ...eight,
      pci: [networkCard(card, { iommuGroup: 12 }), networkCard('0000:3b:00.1', { iommuGroup: 13 })],
    },
    ledger: ledger(pool(range(2, 7), [[0, 8]], { devices: [card, '0000:3b:00.1'] }), {
      db: partition([4, 5], [[0, 2]], { devices: ['0000:3b:00.1'] }),
      web: partition([2, 3], [[0, 2]], { devices: [card] }),
    }),
    instances: { db: facts(2), web: facts(2) },
  },
  'smt-sharing': {
    topology: smt,
    ledger: ledger(pool([1, 2, 3, 5, 6, 7], [[0, 8]]), {
      db: partition([5, 6], [[0, 2]]),
      web: partition([1, 2], [[0, 2]]),
    }),
    instances: { web: facts(2), db: facts(2) },
  },
  'tcg-vcpus': {
    topology: eight,
    ledger: ledger(pool(range(2, 7), [[0, 8]]), { build: partition(range(2, 3), [[0, 4]]) }),
    instances: { build: facts(4, { accelerator: 'tcg' }) },
  },
};
