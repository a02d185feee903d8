/** A machine as JSON Schema: what is read of files that describe one, and what answers of the API hold. */
import { count, flag, listOf, named, oneOf, orNull, record, typed } from '../core/schema.ts';
import { MAX_CPU } from '../sys/cpu-list.ts';
import type { Cache, Cpu, HugePages, NumaNode, PciFunction, Summary, Topology } from './topology.ts';

const MOST_ITEMS = MAX_CPU + 1;
const whole = (minimum: number, maximum: number) => ({ type: 'integer', minimum, maximum }) as const;
const textOf = (maxLength: number) => ({ type: 'string', maxLength }) as const;
const id = whole(0, MAX_CPU);
const ids = { type: 'array', items: id, maxItems: MOST_ITEMS } as const;
const pageBytes = whole(1024, 2 ** 40);
const address = textOf(64);

const cpu = named(
  'Cpu',
  record<Cpu>(
    {
      id,
      online: flag,
      isolated: { ...flag, description: 'Kept free of ordinary tasks by isolcpus=' },
      package: count,
      die: { ...id, description: 'Unique within the machine, as cluster and core' },
      cluster: orNull(id),
      core: { ...id, description: 'CPUs of one core are SMT siblings' },
      thread: { ...id, description: 'Position among these' },
      node: { ...orNull(id), description: 'NUMA node' },
      type: { enum: ['performance', 'efficiency', null] },
      capacity: { ...orNull(whole(1, 1024)), description: 'Relative strength; 1024 for the strongest core' },
      apicId: { ...whole(0, 2 ** 32 - 1), description: 'By which firmware and interrupts name it (x86)' },
    },
    ['apicId'],
  ),
);

const cache = named(
  'Cache',
  record<Cache>({
    level: whole(1, 9),
    type: oneOf('data', 'instruction', 'unified'),
    sizeBytes: count,
    lineBytes: orNull({ type: 'integer', minimum: 1 }),
    cpus: ids,
  }),
);

const node = named(
  'NumaNode',
  record<NumaNode>({
    id,
    cpus: ids,
    memoryBytes: count,
    freeBytes: orNull(count),
    distances: {
      type: 'array',
      items: whole(10, 255),
      maxItems: MOST_ITEMS,
      description: 'To each node in order; 10 = local',
    },
    hugePages: {
      ...listOf(record<HugePages>({ sizeBytes: pageBytes, total: count, free: count })),
      maxItems: 64,
    },
  }),
);

const pciFunction = named(
  'PciFunction',
  record<PciFunction>({
    address: { ...address, description: 'Such as 0000:3b:00.0' },
    class: { ...whole(0, 0xffffff), description: '0x020000 for Ethernet' },
    vendor: whole(0, 0xffff),
    device: whole(0, 0xffff),
    driver: { ...orNull(textOf(64)), description: 'Bound on the host' },
    node: orNull(id),
    iommuGroup: { ...orNull(count), description: 'Functions of one group can only be given away together' },
    sriov: orNull(
      record<NonNullable<PciFunction['sriov']>>({ totalVfs: { type: 'integer', minimum: 1 }, numVfs: count }),
    ),
    physicalFunction: { ...orNull(address), description: 'Of a virtual one: its address' },
    hostUse: {
      ...orNull(textOf(4096)),
      description: 'What the host uses it for, so that it cannot be given away',
    },
  }),
);

const limits = record<Topology['limits']>({ cpus: orNull(ids), nodes: orNull(ids), memoryBytes: orNull(count) });

const parts = {
  format: { enum: [1] },
  architecture: { ...textOf(64), description: 'As uname -m would say' },
  cpus: { ...listOf(cpu), maxItems: MOST_ITEMS, description: 'Present ones, offline ones too' },
  caches: { ...listOf(cache), maxItems: 16 * MOST_ITEMS },
  numaNodes: { ...listOf(node), maxItems: MOST_ITEMS },
  pci: { ...listOf(pciFunction), maxItems: MOST_ITEMS },
  pageBytes,
  limits: { ...limits, description: 'Of the process that looked; null where nothing limits it' },
  warnings: {
    type: 'array',
    items: textOf(4096),
    maxItems: MOST_ITEMS,
    description: 'What was missing or contradictory, and what was assumed instead',
  },
} as const;

const summary = record<Summary>({
  packages: count,
  cores: count,
  cpus: count,
  numaNodes: count,
  caches: record<Summary['caches']>({ l1d: count, l1i: count, l2: count, l3: count }),
  memoryBytes: count,
});

/** As it is answered: with what is counted of it. */
export const topologyWithSummary = typed<Topology & { summary: Summary }>(
  named(
    'Topology',
    record<Topology & { summary?: Summary }>(
      {
        ...parts,
        summary: { ...summary, description: 'Of what is online and allowed; where the machine alone is asked for' },
      },
      ['summary'],
    ),
  ),
);

export const topology = typed<Topology>(topologyWithSummary);
