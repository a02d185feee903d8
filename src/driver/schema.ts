/** What drivers can do and say, as JSON Schema, as answers of the API hold it. */
import { count, flag, listOf, mapOf, named, numbers, oneOf, orNull, record, text, texts } from '../core/schema.ts';
import { nodeMemory } from '../ledger/schema.ts';
import type { RealGroup, RealLimits, RealPlacement } from './driver.ts';
import type { Capabilities } from './traits.ts';

export const networkKind = oneOf('none', 'private', 'egress');

export const capabilities = named(
  'Capabilities',
  record<Capabilities>({
    maxCpus: count,
    minMemoryBytes: count,
    maxMemoryBytes: count,
    pause: flag,
    templateClone: flag,
    shares: flag,
    cpuResize: oneOf('none', 'online', 'hotplug'),
    cpuMoves: oneOf('all', 'not-first'),
    memoryResize: oneOf('none', 'balloon', 'unplug', 'blocks'),
    memoryStepBytes: count,
    hugePages: flag,
    sharedMemory: oneOf('none', 'boot', 'hotplug'),
    devices: oneOf('none', 'boot', 'hotplug', 'host'),
    networks: listOf(networkKind),
    roots: listOf(oneOf('host', 'directory', 'squashfs', 'ext4')),
    volumes: flag,
    networkPort: oneOf('none', 'veth', 'tap'),
    confinement: texts,
    isolation: text,
  }),
);

const groups = listOf(
  record<RealGroup>({ path: text, values: { ...mapOf(text), description: 'Of its control files' } }),
);

export const realPlacement = named(
  'RealPlacement',
  record<RealPlacement>({
    vcpus: { ...listOf(numbers), description: 'Host CPUs that each vCPU may run on' },
    others: { ...numbers, description: 'Host CPUs of all other threads' },
    memory: { ...orNull(listOf(nodeMemory)), description: 'Resident bytes of the VMM' },
    hugePageBytes: orNull(count),
    mostCpus: {
      ...orNull({ type: 'number' }),
      description: "CPUs' worth of time that its vCPUs may use; null: no bound",
    },
    groups,
    limits: orNull(
      record<RealLimits>({
        processes: count,
        memoryBytes: count,
        overheadBytes: count,
        openFiles: count,
        dataBytes: count,
        groups,
      }),
    ),
  }),
);
