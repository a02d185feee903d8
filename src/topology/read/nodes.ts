/** NUMA nodes with memory, distances and huge pages (Documentation/ABI/stable/sysfs-devices-node). */
import { formatBytes } from '../../sys/units.ts';
import type { HugePages, NumaNode } from '../topology.ts';
import type { CpuSources, NodeOfCpu } from './cpus.ts';
import { quoted } from './warnings.ts';

const NODE = 'sys/devices/system/node';
/** ACPI SLIT: a node to itself, and what Linux takes for the others when firmware says nothing. */
const LOCAL_DISTANCE = 10;
const REMOTE_DISTANCE = 20;
const MAX_DISTANCE = 255;

export interface Nodes {
  nodes: NumaNode[];
  nodeOf: NodeOfCpu;
}

/** All online nodes. A kernel without NUMA has one, 0, with all CPUs and memory. */
export function readNodes(sources: CpuSources, present: readonly number[]): Nodes {
  const ids = nodeIds(sources);
  if (ids.length === 0) return oneNode(sources, present);
  const nodeOf = new Map<number, number>();
  const isPresent = new Set(present);
  const cpusOf = new Map(ids.map((id) => [id, nodeCpus(sources, id, isPresent, nodeOf)]));
  const nodes = ids.map((id) => ({
    id,
    cpus: cpusOf.get(id)!,
    ...nodeMemory(sources, id, ids.length === 1),
    distances: distances(sources, id, ids),
    hugePages: hugePages(sources, `${NODE}/node${id}/hugepages`),
  }));
  compareWithWhole(sources, nodes);
  return { nodes, nodeOf };
}

function nodeIds({ files, warnings, sets }: CpuSources): number[] {
  const directories = new Set(
    files.names(NODE).flatMap((name) => (/^node\d{1,5}$/.test(name) ? [Number(name.slice(4))] : [])),
  );
  const online = sets.read(NODE, 'online') ?? [];
  const both = online.filter((id) => directories.has(id));
  if (both.length === online.length && online.length > 0) return both;
  if (directories.size > 0) {
    warnings.add(
      `${NODE}/online does not fit the directories beside it; ${both.length > 0 ? 'nodes in both' : 'those'} are taken.`,
    );
  }
  return both.length > 0 ? both : [...directories].sort((a, b) => a - b);
}

function oneNode(sources: CpuSources, present: readonly number[]): Nodes {
  const { total, free } = wholeMemory(sources);
  if (total === undefined) sources.warnings.add('Nothing says how much memory there is; 0 is taken.');
  const node: NumaNode = {
    id: 0,
    cpus: [...present],
    memoryBytes: total ?? 0,
    freeBytes: free === undefined ? null : Math.min(free, total ?? 0),
    distances: [LOCAL_DISTANCE],
    hugePages: hugePages(sources, 'sys/kernel/mm/hugepages'),
  };
  return { nodes: [node], nodeOf: new Map(present.map((id) => [id, 0])) };
}

function nodeCpus(
  { warnings, sets }: CpuSources,
  id: number,
  isPresent: ReadonlySet<number>,
  nodeOf: Map<number, number>,
): number[] {
  const listed = sets.pair(
    `${NODE}/node${id}`,
    ['cpulist', 'cpumap'],
    (set) => set.every((cpu) => isPresent.has(cpu)),
    (what) => warnings.add(`${NODE}/node${id}: ${what}`),
  );
  if (listed === undefined) warnings.add(`${NODE}/node${id} does not say which CPUs it has; none are taken.`);
  const cpus: number[] = [];
  for (const cpu of listed ?? []) {
    if (!isPresent.has(cpu)) continue;
    const other = nodeOf.get(cpu);
    if (other === undefined) {
      nodeOf.set(cpu, id);
      cpus.push(cpu);
    } else warnings.cpu(cpu, `nodes ${other} and ${id} both claim it; node ${other} is believed.`);
  }
  return cpus;
}

function nodeMemory(sources: CpuSources, id: number, only: boolean): Pick<NumaNode, 'memoryBytes' | 'freeBytes'> {
  const text = sources.files.text(`${NODE}/node${id}/meminfo`) ?? '';
  let total = kibibytes(text, 'MemTotal');
  let free = kibibytes(text, 'MemFree');
  if (total === undefined && only) ({ total, free } = wholeMemory(sources));
  if (total === undefined)
    sources.warnings.add(`${NODE}/node${id}/meminfo does not say how much memory it has; 0 is taken.`);
  return { memoryBytes: total ?? 0, freeBytes: free === undefined ? null : Math.min(free, total ?? 0) };
}

/** `Node 0 MemTotal:  10184916 kB` and `MemTotal:  10184916 kB`, in bytes. */
function kibibytes(text: string, name: string): number | undefined {
  const match = new RegExp(`^(?:Node \\d+ )?${name}:\\s*(\\d{1,12}) kB$`, 'm').exec(text);
  return match === null ? undefined : Number(match[1]) * 1024;
}

function wholeMemory({ files }: CpuSources): { total: number | undefined; free: number | undefined } {
  const text = files.text('proc/meminfo') ?? '';
  return { total: kibibytes(text, 'MemTotal'), free: kibibytes(text, 'MemFree') };
}

/** One number for each online node, in order of their ids. */
function distances({ files, warnings }: CpuSources, id: number, ids: readonly number[]): number[] {
  const text = files.text(`${NODE}/node${id}/distance`);
  const values = text?.split(/\s+/).map(Number) ?? [];
  const valid =
    values.length === ids.length &&
    values.every((value) => Number.isInteger(value) && value >= LOCAL_DISTANCE && value <= MAX_DISTANCE);
  if (valid) return values;
  if (text !== undefined || ids.length > 1) {
    const seen = text === undefined ? 'is missing' : `is not one distance for each node: ${quoted(text)}`;
    warnings.add(`${NODE}/node${id}/distance ${seen}; ${LOCAL_DISTANCE} and ${REMOTE_DISTANCE} are taken.`);
  }
  return ids.map((other) => (other === id ? LOCAL_DISTANCE : REMOTE_DISTANCE));
}

function hugePages({ files, warnings }: CpuSources, directory: string): HugePages[] {
  const pools: HugePages[] = [];
  for (const name of files.names(directory)) {
    const size = /^hugepages-(\d{1,10})kB$/.exec(name)?.[1];
    if (size === undefined) continue;
    const total = files.integer(`${directory}/${name}/nr_hugepages`) ?? -1;
    const free = files.integer(`${directory}/${name}/free_hugepages`) ?? -1;
    if (total < 0 || free < 0 || free > total) {
      warnings.add(`${directory}/${name} does not say how many pages there are and are free; none free is taken.`);
    }
    const pages = Math.max(0, total);
    pools.push({ sizeBytes: Number(size) * 1024, total: pages, free: free >= 0 && free <= pages ? free : 0 });
  }
  return pools.sort((a, b) => a.sizeBytes - b.sizeBytes);
}

/** Both count the pages the kernel manages; the whole is also what containers are shown instead of the truth. */
function compareWithWhole(sources: CpuSources, nodes: readonly NumaNode[]): void {
  const { total } = wholeMemory(sources);
  const sum = nodes.reduce((bytes, node) => bytes + node.memoryBytes, 0);
  if (total === undefined || Math.abs(total - sum) <= sum / 50) return;
  const driver = BALLOONS.find((directory) => sources.files.names(directory).some((name) => !OWN_FILES.has(name)));
  const why =
    driver === undefined
      ? ''
      : ` A balloon (${driver.split('/').at(-1)}) moves memory between this machine and its host.`;
  sources.warnings.add(
    `proc/meminfo speaks of ${formatBytes(total)}, the NUMA nodes together of ${formatBytes(sum)}; the nodes are believed.${why}`,
  );
}

/** Drivers by which a hypervisor takes memory back, and gives it: with a device bound to them there is a balloon. */
const BALLOONS = [
  'sys/bus/virtio/drivers/virtio_balloon',
  'sys/bus/virtio/drivers/virtio_mem',
  'sys/bus/vmbus/drivers/hv_balloon',
  'sys/bus/xen/drivers/xen_memory',
  'sys/devices/system/xen_memory',
];
/** What is in a driver's directory without any device. */
const OWN_FILES: ReadonlySet<string> = new Set(['bind', 'unbind', 'uevent', 'module', 'new_id', 'remove_id']);
