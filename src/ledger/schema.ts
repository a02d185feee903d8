/** The words of the ledger as JSON Schema, as answers of the API hold them. */
import { count, listOf, mapOf, named, numbers, orNull, record, text, texts } from '../core/schema.ts';
import type { Free } from './ledger.ts';
import type { Refused } from './planner/types.ts';
import type { Ledger, NodeMemory, Partition, Pool, SharedClaim } from './types.ts';

export const nodeMemory = named('NodeMemory', record<NodeMemory>({ node: count, bytes: count }));
const memory = listOf(nodeMemory);
const devices = { ...texts, description: 'PCI addresses' };

export const pool = named(
  'Pool',
  record<Pool>({
    cpus: { ...numbers, description: 'Shared ones among them' },
    sharedCpus: { ...numbers, description: 'Those that several instances may share' },
    memory,
    devices,
  }),
);

const shared = record<SharedClaim>({
  cpus: { ...numbers, description: 'Shared CPUs its vCPUs run on, one each' },
  milliCpus: { ...count, description: 'Thousandths of a CPU promised, over all of them' },
  weight: { ...count, description: 'Where CPUs are contended; 100 = usual' },
});

export const partition = named(
  'Partition',
  record<Partition>({
    cpus: { ...numbers, description: 'CPUs nobody else has' },
    shared: orNull(shared),
    memory,
    hugePageBytes: { ...orNull(count), description: 'null = ordinary pages' },
    devices,
  }),
);

export const ledger = named(
  'Ledger',
  record<Ledger>({
    pool: { ...orNull(pool), description: 'null = nothing was given up' },
    partitions: { ...mapOf(partition), description: 'By name of the instance' },
  }),
);

export const freeOfPool = record<Free>({
  cpus: { ...numbers, description: 'Dedicated CPUs' },
  shared: listOf(record<Free['shared'][number]>({ cpu: count, milliCpus: count })),
  memory,
  devices,
});

export const refused = named(
  'Refused',
  record<Refused>({
    name: text,
    field: { ...text, description: 'Where in the request, such as cpus.numa' },
    message: text,
    hint: text,
  }),
);
