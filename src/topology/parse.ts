import { MAX_CPU } from '../sys/cpu-list.ts';
import { contradiction } from './invariants.ts';
import { isPciAddress } from './pci-address.ts';
import { array, boolean, type Check, integer, nullable, object, oneOf, refuse, string } from './shape.ts';
import type { Cache, Cpu, HugePages, NumaNode, PciFunction, Topology } from './topology.ts';

const MAX_ITEMS = MAX_CPU + 1;
const id = integer(0, MAX_CPU);
const ids: Check<number[]> = (value, path) => {
  const list = array(id, MAX_ITEMS)(value, path);
  for (const [index, item] of list.entries()) {
    if (index > 0 && item <= list[index - 1]!) refuse(`${path}[${index}]`, item, 'is not above the one before it');
  }
  return list;
};
const count = integer(0);
const address: Check<string> = (value, path) =>
  typeof value === 'string' && isPciAddress(value)
    ? value
    : refuse(path, value, 'is not a PCI address such as 0000:3b:00.0');
const pageSize: Check<number> = (value, path) => {
  const bytes = integer(1024, 2 ** 40)(value, path);
  return Number.isInteger(Math.log2(bytes)) ? bytes : refuse(path, value, 'is not a power of two');
};

const cpu = object<Cpu>({
  id,
  online: boolean,
  isolated: boolean,
  package: count,
  die: id,
  cluster: nullable(id),
  core: id,
  thread: id,
  node: nullable(id),
  type: nullable(oneOf('performance', 'efficiency')),
  capacity: nullable(integer(1, 1024)),
});

const cache = object<Cache>({
  level: integer(1, 9),
  type: oneOf('data', 'instruction', 'unified'),
  sizeBytes: count,
  lineBytes: nullable(integer(1)),
  cpus: ids,
});

const numaNode = object<NumaNode>({
  id,
  cpus: ids,
  memoryBytes: count,
  freeBytes: nullable(count),
  distances: array(integer(10, 255), MAX_ITEMS),
  hugePages: array(object<HugePages>({ sizeBytes: pageSize, total: count, free: count }), 64),
});

const pciFunction = object<PciFunction>({
  address,
  class: integer(0, 0xffffff),
  vendor: integer(0, 0xffff),
  device: integer(0, 0xffff),
  driver: nullable(string(64)),
  node: nullable(id),
  iommuGroup: nullable(count),
  sriov: nullable(object({ totalVfs: integer(1), numVfs: count })),
  physicalFunction: nullable(address),
  hostUse: nullable(string(4096)),
});

const topology = object<Topology>(
  {
    format: oneOf(1),
    architecture: string(64),
    cpus: array(cpu, MAX_ITEMS),
    caches: array(cache, 16 * MAX_ITEMS),
    numaNodes: array(numaNode, MAX_ITEMS),
    pci: array(pciFunction, MAX_ITEMS),
    pageBytes: pageSize,
    limits: object<Topology['limits']>({
      cpus: nullable(ids),
      nodes: nullable(ids),
      memoryBytes: nullable(count),
    }),
    warnings: array(string(4096), MAX_ITEMS),
  },
  ['summary'],
);

/**
 * A topology from JSON that `pk topology --json` printed; its `summary`, which can be computed again, is not looked at.
 * Throws `invalid` naming the field: of the wrong type or range, missing, unknown, or contradicting another one.
 */
export function parseTopology(json: unknown): Topology {
  const parsed = topology(json, '');
  const problem = contradiction(parsed);
  if (problem !== undefined) refuse(problem.field, problem.value, problem.reason);
  return parsed;
}
