/** A machine as JSON Schema, as answers of the API hold it. */
import { count, flag, listOf, named, numbers, oneOf, orNull, record, text, texts } from '../core/schema.ts';
import type { Cache, Cpu, HugePages, NumaNode, PciFunction, Summary, Topology } from './topology.ts';

const cpu = named(
  'Cpu',
  record<Cpu>({
    id: count,
    online: flag,
    isolated: { ...flag, description: 'Kept free of ordinary tasks by isolcpus=' },
    package: count,
    die: { ...count, description: 'Unique within the machine, as cluster and core' },
    cluster: orNull(count),
    core: { ...count, description: 'CPUs of one core are SMT siblings' },
    thread: { ...count, description: 'Position among these' },
    node: { ...orNull(count), description: 'NUMA node' },
    type: { enum: ['performance', 'efficiency', null] },
    capacity: { ...orNull(count), description: 'Relative strength; 1024 for the strongest core' },
  }),
);

const cache = named(
  'Cache',
  record<Cache>({
    level: count,
    type: oneOf('data', 'instruction', 'unified'),
    sizeBytes: count,
    lineBytes: orNull(count),
    cpus: numbers,
  }),
);

const node = named(
  'NumaNode',
  record<NumaNode>({
    id: count,
    cpus: numbers,
    memoryBytes: count,
    freeBytes: orNull(count),
    distances: { ...numbers, description: 'To each node in order; 10 = local' },
    hugePages: listOf(record<HugePages>({ sizeBytes: count, total: count, free: count })),
  }),
);

const pciFunction = named(
  'PciFunction',
  record<PciFunction>({
    address: { ...text, description: 'Such as 0000:3b:00.0' },
    class: { ...count, description: '24 bits; 0x020000 for Ethernet' },
    vendor: count,
    device: count,
    driver: { ...orNull(text), description: 'Bound on the host' },
    node: orNull(count),
    iommuGroup: { ...orNull(count), description: 'Functions of one group can only be given away together' },
    sriov: orNull(record<NonNullable<PciFunction['sriov']>>({ totalVfs: count, numVfs: count })),
    physicalFunction: { ...orNull(text), description: 'Of a virtual one: its address' },
    hostUse: { ...orNull(text), description: 'What the host uses it for, so that it cannot be given away' },
  }),
);

const limits = record<Topology['limits']>({
  cpus: orNull(numbers),
  nodes: orNull(numbers),
  memoryBytes: orNull(count),
});

const parts = {
  format: { enum: [1] },
  architecture: { ...text, description: 'As uname -m would say' },
  cpus: { ...listOf(cpu), description: 'Present ones, offline ones too' },
  caches: listOf(cache),
  numaNodes: listOf(node),
  pci: listOf(pciFunction),
  pageBytes: count,
  limits: { ...limits, description: 'Of the process that looked; null where nothing limits it' },
  warnings: { ...texts, description: 'What was missing or contradictory, and what was assumed instead' },
};

export const topology = named('Topology', record<Topology>(parts));

const summary = record<Summary>({
  packages: count,
  cores: count,
  cpus: count,
  numaNodes: count,
  caches: record<Summary['caches']>({ l1d: count, l1i: count, l2: count, l3: count }),
  memoryBytes: count,
});

export const topologyWithSummary = record<Topology & { summary: Summary }>({
  ...parts,
  summary: { ...summary, description: 'Of what is online and allowed' },
});
