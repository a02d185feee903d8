/** What a kernel asks of the pool. */

import { keysOf } from '../core/stack-options.ts';
import type { Place, YamlReader } from '../core/yaml-reader.ts';
import { MOST_NODE, PAGE_BYTES, readSize } from '../core/yaml-values.ts';
import type { CpuRequest, DeviceClass, DeviceRequest, MemoryRequest, PartitionRequest } from '../ledger/index.ts';
import { readMemoryPerNode, readPciAddress } from '../ledger/yaml-values.ts';
import { parseCpuList } from '../sys/cpu-list.ts';
import { formatBytes } from '../sys/units.ts';
import { partitionOptions } from './partition-options.ts';

const MOST_CPUS = 65_536;
const DEFAULT_BYTES = 256 * 2 ** 20;
const CLASSES: readonly DeviceClass[] = ['network', 'nvme', 'storage', 'gpu', 'accelerator', 'usb'];

const counted = (count: number): CpuRequest => ({
  kind: 'count',
  count,
  numa: null,
  smt: 'whole-core',
  cache: 'any',
  near: null,
});

export function readPartition(reader: YamlReader, place: Place): PartitionRequest | undefined {
  const entries = reader.map(place, keysOf(partitionOptions.options, 'kernels.*.partition'));
  if (entries === undefined) return undefined;
  const [cpus, memory, devices] = ['cpus', 'memory', 'devices'].map((key) => entries.get(key));
  return {
    cpus: (cpus && readCpus(reader, cpus)) ?? counted(1),
    memory: (memory && readMemory(reader, memory)) ?? {
      kind: 'size',
      bytes: DEFAULT_BYTES,
      node: null,
      hugePageBytes: null,
    },
    devices: (devices && readDevices(reader, devices)) ?? [],
  };
}

function readCpus(reader: YamlReader, place: Place): CpuRequest | undefined {
  if (reader.isMap(place)) return readCpuMap(reader, place);
  if (reader.isNumber(place)) {
    const count = reader.number(place, 1, MOST_CPUS);
    return count === undefined ? undefined : counted(count);
  }
  const hint = 'Write how many (4), which ("4-7"), or a map such as {count: 4, cache: shared-l3} or {shared: 0.5}.';
  const text = reader.text(place, 'a number, a CPU list or a map', hint);
  const cpus = text === undefined ? undefined : reader.attempt(place, () => parseCpuList(text), hint);
  return cpus && { kind: 'exact', cpus };
}

function readCpuMap(reader: YamlReader, place: Place): CpuRequest | undefined {
  const entries = reader.map(place, keysOf(partitionOptions.options, 'kernels.*.partition.cpus'));
  if (entries === undefined) return undefined;
  const get = (key: string) => entries.get(key);
  const shared = get('shared');
  if (shared !== undefined) {
    for (const key of ['count', 'numa', 'smt', 'cache', 'near']) {
      const mixed = get(key);
      const reason = `${key} does not go with shared: shared CPUs never mix with dedicated ones`;
      if (mixed !== undefined) reader.problem(mixed, reason, `Leave out shared, or ${key}.`);
    }
    const part = reader.number(shared, 0.001, MOST_CPUS, true);
    const weight = get('weight');
    const milliCpus = Math.round((part ?? 1) * 1000);
    return { kind: 'shared', milliCpus, weight: (weight && reader.number(weight, 1, 10_000)) ?? 100 };
  }
  if (get('weight') !== undefined)
    reader.problem(get('weight')!, 'weight goes only with shared', 'Leave it out: whole CPUs have no rival.');
  const count = get('count');
  if (count === undefined) return reader.problem(place, 'count is missing', 'Write {count: 4}, or {shared: 0.5}.');
  const [numa, smt, cache, near] = [get('numa'), get('smt'), get('cache'), get('near')];
  return {
    kind: 'count',
    count: reader.number(count, 1, MOST_CPUS) ?? 1,
    numa: (numa && reader.number(numa, 0, MOST_NODE)) ?? null,
    smt: (smt && reader.word(smt, ['whole-core', 'any'])) ?? 'whole-core',
    cache: (cache && reader.word(cache, ['any', 'shared-l3', 'spread'])) ?? 'any',
    near: (near && readPciAddress(reader, near)) ?? null,
  };
}

function readMemory(reader: YamlReader, place: Place): MemoryRequest | undefined {
  if (!reader.isMap(place)) {
    const bytes = readSize(reader, place);
    return bytes === undefined ? undefined : { kind: 'size', bytes, node: null, hugePageBytes: null };
  }
  const entries = reader.map(place, keysOf(partitionOptions.options, 'kernels.*.partition.memory'));
  if (entries === undefined) return undefined;
  const [size, node, nodes, huge] = ['size', 'node', 'nodes', 'hugePages'].map((key) => entries.get(key));
  const page = huge && readSize(reader, huge);
  const whole = (path: string, bytes: number | undefined) => {
    if (page === undefined || bytes === undefined || bytes % page === 0) return;
    reader.problemAt(
      path,
      `${formatBytes(bytes)} are not whole huge pages of ${formatBytes(page)}`,
      'Choose a multiple of the page size.',
    );
  };
  if (page !== undefined && (page <= PAGE_BYTES || Math.log2(page) % 1 !== 0))
    return reader.problem(
      huge!,
      `${formatBytes(page)} is no size of huge pages`,
      'Write 2MiB or 1GiB, as the machine has.',
    );
  if (nodes !== undefined) {
    for (const other of [size, node]) {
      if (other !== undefined)
        reader.problem(other, 'does not go with nodes, which says it for each node', 'Leave one of them out.');
    }
    const memory = readMemoryPerNode(reader, nodes);
    for (const each of memory ?? []) whole(`${nodes.path}.${each.node}`, each.bytes);
    return memory && { kind: 'nodes', memory, hugePageBytes: page ?? null };
  }
  if (size === undefined)
    return reader.problem(place, 'size is missing', 'Write {size: 2GiB}, or {nodes: {0: 1GiB, 1: 1GiB}}.');
  const bytes = readSize(reader, size);
  whole(size.path, bytes);
  const on = node && reader.number(node, 0, MOST_NODE);
  return bytes === undefined ? undefined : { kind: 'size', bytes, node: on ?? null, hugePageBytes: page ?? null };
}

function readDevices(reader: YamlReader, place: Place): DeviceRequest[] | undefined {
  return reader.list(place)?.flatMap((item): DeviceRequest[] => {
    if (!reader.isMap(item)) {
      const address = readPciAddress(reader, item);
      return address === undefined ? [] : [{ kind: 'address', address }];
    }
    const entries = reader.map(item, keysOf(partitionOptions.options, 'kernels.*.partition.devices[]'));
    const [kind, count, which] = ['class', 'count', 'function'].map((key) => entries?.get(key));
    if (kind === undefined) reader.problem(item, 'class is missing', `Choose from ${CLASSES.join(', ')}.`);
    const word = kind && reader.word(kind, CLASSES);
    if (word === undefined) return [];
    return [
      {
        kind: 'class',
        class: word,
        count: (count && reader.number(count, 1, 4096)) ?? 1,
        function: (which && reader.word(which, ['any', 'virtual', 'physical'])) ?? 'any',
      },
    ];
  });
}
