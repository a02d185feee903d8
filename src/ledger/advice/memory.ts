/** Rules about memory. */
import { formatBytes } from '../../sys/units.ts';
import { bytesOn, totalBytes } from '../memory.ts';
import type { Finding, Rule } from './rule.ts';
import { few, nodesText } from './text.ts';
import { distance, nearestNodes, type View } from './view.ts';

/** Memory on a node where the instance has no CPU, though nearer nodes have memory. Distances are those of the ACPI SLIT. */
export const remoteMemory: Rule = (view) =>
  view.partitions.flatMap(({ owner, partition, nodes }) => {
    if (nodes.size === 0) return [];
    const near = nearestNodes(view, nodes, (node) => node.memoryBytes > 0);
    const far = partition.memory.filter(({ node }) => !near.has(node));
    if (far.length === 0) return [];
    const parts = far.map(
      ({ node, bytes }) => `${formatBytes(bytes)} on node ${node}${distanceText(view, nodes, node)}`,
    );
    return [
      {
        severity: 'warning',
        subject: owner,
        message: `its CPUs are on ${nodesText(nodes)} but of its ${formatBytes(totalBytes(partition.memory))} it has ${few(parts)}`,
        remedy: `Free memory on ${nodesText(near)}, ask for less, or move its CPUs to ${nodesText(far.map(({ node }) => node))}.`,
      },
    ];
  });

function distanceText(view: View, from: ReadonlySet<number>, to: number): string {
  const known = [...from].flatMap((node) => distance(view, node, to) ?? []);
  return known.length === 0 ? '' : ` (distance ${Math.min(...known)}, local is 10)`;
}

/** Growth step of glibc's malloc arenas (HEAP_MAX_SIZE) and a usual size of large buffers. */
const LARGE_MAPPING_BYTES = 64 * 2 ** 20;

/**
 * A guest kernel counts committed memory per CPU and takes one global lock when a CPU's count reaches
 *   batch = RAM / CPUs / 4   (Linux >= 5.9, mm/mm_init.c: mm_compute_batch)
 * so every mmap and munmap of a mapping of that size or more takes it, on all CPUs at once. One CPU cannot contend.
 */
export const ramPerCore: Rule = (_view, { instances }) =>
  Object.entries(instances).flatMap(([owner, { vcpus, memoryBytes }]) => {
    const batch = memoryBytes / vcpus / 4;
    if (vcpus < 2 || batch >= LARGE_MAPPING_BYTES) return [];
    return [
      {
        severity: 'warning',
        subject: owner,
        message: `${formatBytes(memoryBytes)} / ${vcpus} CPUs / 4 = ${formatBytes(batch)}: mappings of that size or more (malloc uses ${formatBytes(LARGE_MAPPING_BYTES)}) contend for one lock of its kernel`,
        remedy: `Give it ${formatBytes(LARGE_MAPPING_BYTES * vcpus * 4)} of memory, or ${Math.max(1, Math.floor(memoryBytes / LARGE_MAPPING_BYTES / 4))} CPU${memoryBytes / LARGE_MAPPING_BYTES / 4 >= 2 ? 's' : ''}, or do without mappings that large.`,
      },
    ];
  });

/** From here on ordinary pages of 4 KiB cost a hardware-virtualised guest noticeable page walks. */
const HUGE_PAGES_PAY_BYTES = 4 * 2 ** 30;

/** Huge pages promised on a node > those it has; and, as information, large KVM guests without any. */
export const hugePageShortage: Rule = (view, { instances }) => {
  const asked = view.partitions.flatMap(({ owner, partition: { hugePageBytes, memory } }) =>
    hugePageBytes === null
      ? []
      : memory.map(({ node, bytes }) => ({
          owner,
          node,
          size: hugePageBytes,
          pages: Math.ceil(bytes / hugePageBytes),
        })),
  );
  const short = [...Map.groupBy(asked, ({ node, size }) => `${node}/${size}`).values()].flatMap((group) => {
    const { node, size } = group[0]!;
    const needed = group.reduce((sum, { pages }) => sum + pages, 0);
    const has = view.node.get(node)?.hugePages.find(({ sizeBytes }) => sizeBytes === size);
    if (has !== undefined && has.total >= needed) return [];
    const owners = few(group.map(({ owner }) => owner));
    const text = `node ${node} has ${has?.total ?? 0} of the ${needed} pages of ${formatBytes(size)} that ${owners} ${group.length === 1 ? 'needs' : 'need'}`;
    const file = `/sys/devices/system/node/node${node}/hugepages/hugepages-${size / 1024}kB/nr_hugepages`;
    return [{ text, command: `echo ${needed} > ${file}` }];
  });
  const findings: Finding[] = [];
  if (short[0] !== undefined) {
    findings.push({
      severity: 'warning',
      subject: 'pool',
      message: few(short.map(({ text }) => text)),
      remedy: `Reserve them early, while memory is unfragmented: ${short[0].command}`,
    });
  }
  const large = view.partitions.filter(
    ({ owner, partition }) =>
      partition.hugePageBytes === null &&
      totalBytes(partition.memory) >= HUGE_PAGES_PAY_BYTES &&
      instances[owner]?.accelerator === 'kvm',
  );
  if (large.length > 0) {
    const names = few(large.map(({ owner, partition }) => `${owner} (${formatBytes(totalBytes(partition.memory))})`));
    findings.push({
      severity: 'info',
      subject: 'pool',
      message: `${names} ${large.length === 1 ? 'uses' : 'use'} pages of ${formatBytes(view.topology.pageBytes)}: translating addresses costs a KVM guest of that size noticeably`,
      remedy: 'Ask for huge pages in the memory of its partition, or let the host use transparent ones.',
    });
  }
  return findings;
};

/** Share of a node's memory that the pool may have; the host's own page tables, caches and drivers live there too. */
const POOL_SHARE_OF_NODE = 0.9;

/** What is left of a node beside the pool. */
export function crowdedNodes(view: View): { node: number; pool: number; of: number }[] {
  return view.topology.numaNodes
    .map((node) => ({ node: node.id, pool: bytesOn(view.pool?.memory ?? [], node.id), of: node.memoryBytes }))
    .filter(({ pool, of }) => pool > of * POOL_SHARE_OF_NODE);
}
