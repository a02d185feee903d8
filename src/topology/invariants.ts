/**
 * What holds for every Topology, however broken the machine's own files are:
 *
 * 1. Lists of numbers ascend without duplicates; pages are powers of two; PCI addresses have their form. CPUs, nodes, functions and caches are in the order their type says, without duplicates; there is at least one of the
 *    first two.
 * 2. A core lies in one cluster, die and package; a cluster in one die; a die in one package. Threads of a core count from 0.
 * 3. A CPU and its node name each other. Caches hold existing CPUs; of one level and type a CPU has one.
 * 4. Every node has a distance to each node; no more memory or huge pages are free than there are.
 * 5. A virtual function's physical function exists. So do the CPUs and nodes in `limits`.
 */
import { comparePciAddresses, isPciAddress } from './pci-address.ts';
import type { Topology } from './topology.ts';

export interface Contradiction {
  field: string;
  value: unknown;
  reason: string;
}

/** The first contradiction, or undefined. */
export function contradiction(topology: Topology): Contradiction | undefined {
  for (const found of contradictions(topology)) return found;
  return undefined;
}

function* contradictions(topology: Topology): Generator<Contradiction> {
  yield* ofForm(topology);
  yield* ofCpus(topology);
  yield* ofNodes(topology);
  yield* ofCaches(topology);
  yield* ofPci(topology);
  const cpuIds = new Set(topology.cpus.map(({ id }) => id));
  const nodeIds = new Set(topology.numaNodes.map(({ id }) => id));
  yield* unknownIds('limits.cpus', topology.limits.cpus ?? [], cpuIds);
  yield* unknownIds('limits.nodes', topology.limits.nodes ?? [], nodeIds);
}

/** What a value is by itself. */
function* ofForm({ caches, numaNodes, limits, pci, pageBytes }: Topology): Generator<Contradiction> {
  yield* unlessPages('pageBytes', pageBytes);
  for (const [index, { cpus }] of caches.entries()) yield* unlessAscending(`caches[${index}].cpus`, cpus);
  for (const [index, { cpus, hugePages }] of numaNodes.entries()) {
    const at = `numaNodes[${index}]`;
    yield* unlessAscending(`${at}.cpus`, cpus);
    for (const [pool, { sizeBytes }] of hugePages.entries())
      yield* unlessPages(`${at}.hugePages[${pool}].sizeBytes`, sizeBytes);
  }
  for (const [index, { address, physicalFunction }] of pci.entries()) {
    for (const [field, value] of Object.entries({ address, physicalFunction })) {
      if (value !== null && !isPciAddress(value))
        yield { field: `pci[${index}].${field}`, value, reason: 'is not a PCI address such as 0000:3b:00.0' };
    }
  }
  yield* unlessAscending('limits.cpus', limits.cpus ?? []);
  yield* unlessAscending('limits.nodes', limits.nodes ?? []);
}

function* unlessAscending(field: string, ids: readonly number[]): Generator<Contradiction> {
  for (const [index, id] of ids.entries()) {
    if (index > 0 && id <= ids[index - 1]!)
      yield { field: `${field}[${index}]`, value: id, reason: 'is not above the one before it' };
  }
}

function* unlessPages(field: string, bytes: number): Generator<Contradiction> {
  if (!Number.isInteger(Math.log2(bytes))) yield { field, value: bytes, reason: 'is not a power of two' };
}

function* ofCpus({ cpus, numaNodes }: Topology): Generator<Contradiction> {
  if (cpus.length === 0) yield { field: 'cpus', value: [], reason: 'holds no CPU' };
  const nodes = new Map(numaNodes.map((node) => [node.id, new Set(node.cpus)]));
  const within = {
    core: new Map<number, string>(),
    cluster: new Map<number, string>(),
    die: new Map<number, string>(),
  };
  const threads = new Map<number, number>();
  for (const [index, cpu] of cpus.entries()) {
    const at = `cpus[${index}]`;
    if (index > 0 && cpu.id <= cpus[index - 1]!.id) {
      yield { field: `${at}.id`, value: cpu.id, reason: 'is not above the one before it' };
    }
    const { core, cluster, die } = cpu;
    for (const [group, number, around] of [
      ['core', core, `${cluster} ${die} ${cpu.package}`],
      ['cluster', cluster, `${die} ${cpu.package}`],
      ['die', die, `${cpu.package}`],
    ] as const) {
      if (number === null) continue;
      const other = within[group].get(number);
      if (other === undefined) within[group].set(number, around);
      else if (other !== around)
        yield { field: `${at}.${group}`, value: number, reason: 'reaches across what is around it' };
    }
    const thread = threads.get(core) ?? 0;
    threads.set(core, thread + 1);
    if (cpu.thread !== thread) yield { field: `${at}.thread`, value: cpu.thread, reason: `is not ${thread}` };
    if (cpu.node !== null && nodes.get(cpu.node) === undefined) {
      yield { field: `${at}.node`, value: cpu.node, reason: 'is no node of numaNodes' };
    }
  }
}

function* ofNodes({ cpus, numaNodes }: Topology): Generator<Contradiction> {
  if (numaNodes.length === 0) yield { field: 'numaNodes', value: [], reason: 'holds no node' };
  const nodeOf = new Map(cpus.map((cpu) => [cpu.id, cpu.node]));
  for (const [index, node] of numaNodes.entries()) {
    const at = `numaNodes[${index}]`;
    if (index > 0 && node.id <= numaNodes[index - 1]!.id) {
      yield { field: `${at}.id`, value: node.id, reason: 'is not above the one before it' };
    }
    for (const cpu of node.cpus) {
      if (nodeOf.get(cpu) !== node.id) yield { field: `${at}.cpus`, value: cpu, reason: 'says it is on another node' };
    }
    if (node.distances.length !== numaNodes.length) {
      yield { field: `${at}.distances`, value: node.distances, reason: `has not ${numaNodes.length} numbers` };
    }
    if (node.freeBytes !== null && node.freeBytes > node.memoryBytes) {
      yield { field: `${at}.freeBytes`, value: node.freeBytes, reason: 'is more than memoryBytes' };
    }
    for (const [pool, { sizeBytes, total, free }] of node.hugePages.entries()) {
      if (free > total) yield { field: `${at}.hugePages[${pool}].free`, value: free, reason: 'is more than total' };
      if (pool > 0 && sizeBytes <= node.hugePages[pool - 1]!.sizeBytes) {
        yield {
          field: `${at}.hugePages[${pool}].sizeBytes`,
          value: sizeBytes,
          reason: 'is not above the one before it',
        };
      }
    }
  }
  const claimed = new Set(numaNodes.flatMap((node) => node.cpus));
  for (const [index, cpu] of cpus.entries()) {
    // An offline CPU's node is known from elsewhere: nodes list online CPUs.
    if (cpu.online && cpu.node !== null && !claimed.has(cpu.id)) {
      yield { field: `cpus[${index}].node`, value: cpu.node, reason: 'does not list the CPU' };
    }
  }
}

function* ofCaches({ cpus, caches }: Topology): Generator<Contradiction> {
  const known = new Set(cpus.map(({ id }) => id));
  const claimed = new Map<string, Set<number>>();
  for (const [index, cache] of caches.entries()) {
    const at = `caches[${index}]`;
    const kind = `${cache.level} ${cache.type}`;
    const before = caches[index - 1];
    if (before !== undefined) {
      const order =
        before.level - cache.level || compareText(before.type, cache.type) || before.cpus[0]! - cache.cpus[0]!;
      if (order >= 0) yield { field: at, value: kind, reason: 'is out of order' };
    }
    if (cache.cpus.length === 0) yield { field: `${at}.cpus`, value: [], reason: 'holds no CPU' };
    yield* unknownIds(`${at}.cpus`, cache.cpus, known);
    const taken = claimed.get(kind) ?? new Set();
    claimed.set(kind, taken);
    for (const cpu of cache.cpus) {
      if (taken.has(cpu)) yield { field: `${at}.cpus`, value: cpu, reason: `has another L${cache.level} already` };
      taken.add(cpu);
    }
  }
}

function* ofPci({ pci, numaNodes }: Topology): Generator<Contradiction> {
  const known = new Set(pci.map(({ address }) => address));
  const nodes = new Set(numaNodes.map(({ id }) => id));
  for (const [index, { address, node, physicalFunction, sriov }] of pci.entries()) {
    const at = `pci[${index}]`;
    if (index > 0 && comparePciAddresses(pci[index - 1]!.address, address) >= 0) {
      yield { field: `${at}.address`, value: address, reason: 'is not above the one before it' };
    }
    if (node !== null && !nodes.has(node))
      yield { field: `${at}.node`, value: node, reason: 'is no node of numaNodes' };
    if (physicalFunction !== null && !known.has(physicalFunction)) {
      yield { field: `${at}.physicalFunction`, value: physicalFunction, reason: 'is no function of pci' };
    }
    if (sriov !== null && sriov.numVfs > sriov.totalVfs) {
      yield { field: `${at}.sriov.numVfs`, value: sriov.numVfs, reason: 'is more than totalVfs' };
    }
  }
}

function* unknownIds(field: string, ids: readonly number[], known: ReadonlySet<number>): Generator<Contradiction> {
  for (const id of ids) if (!known.has(id)) yield { field, value: id, reason: 'does not exist' };
}

const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
