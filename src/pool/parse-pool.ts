/** What a stack file says of the pool. */
import { keysOf } from '../core/stack-options.ts';
import type { Place, YamlReader } from '../core/yaml-reader.ts';
import { readCpuList, readSize } from '../core/yaml-values.ts';
import type { PoolRequest } from '../ledger/index.ts';
import { readMemoryPerNode, readPciAddress } from '../ledger/yaml-values.ts';
import { poolOptions } from './stack-options.ts';

/** Undefined for a pool with a problem, against which no kernel can be held. */
export function readPool(reader: YamlReader, place: Place): PoolRequest | undefined {
  const before = reader.problems.length;
  const entries = reader.map(place, keysOf(poolOptions.options, 'pool'));
  if (entries === undefined) return undefined;
  const [cpus, shared, memory, devices] = ['cpus', 'shared', 'memory', 'devices'].map((key) => entries.get(key));
  if (cpus === undefined)
    reader.problem(place, 'cpus is missing', 'Say which CPUs the host gives up, such as cpus: 2-15.');
  const addresses = devices && reader.list(devices)?.map((item) => readPciAddress(reader, item) ?? '');
  const pool: PoolRequest = {
    cpus: (cpus && readCpuList(reader, cpus)) ?? [],
    sharedCpus: (shared && readCpuList(reader, shared)) ?? [],
    memory: (memory && readPoolMemory(reader, memory)) ?? { kind: 'share' },
    devices: addresses ?? [],
  };
  return reader.problems.length === before ? pool : undefined;
}

function readPoolMemory(reader: YamlReader, place: Place): PoolRequest['memory'] | undefined {
  if (reader.isMap(place)) {
    const memory = readMemoryPerNode(reader, place);
    return memory && { kind: 'nodes', memory };
  }
  const bytes = readSize(reader, place);
  return bytes === undefined ? undefined : { kind: 'size', bytes };
}
