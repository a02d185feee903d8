/** A machine as text for people, at most 80 columns wide where names allow it. */
import { formatCpuList } from '../../sys/cpu-list.ts';
import { formatBytes } from '../../sys/units.ts';
import { pciClassWord } from '../../topology/pci-class.ts';
import { dataCaches, groupBy, l3ByCpu } from '../../topology/select.ts';
import { summarize } from '../../topology/summary.ts';
import type { Cpu, NumaNode, PciFunction, Topology } from '../../topology/topology.ts';
import { formatApicIds } from '../kit/apic-ids.ts';
import { table } from '../kit/table.ts';
import { wrap } from '../kit/wrap.ts';

const WIDTH = 80;

/** What `pk topology` prints: the tree of CPUs, memory of the nodes, PCI functions, limits and warnings. */
export function topologyText(topology: Topology): string {
  const sections = [
    head(topology),
    [...tree(topology), ...apicIds(topology.cpus)],
    memory(topology.numaNodes),
    distances(topology.numaNodes),
    pci(topology.pci),
    limits(topology.limits),
    topology.warnings.flatMap((text) => wrap(`warning: ${text}`, WIDTH, 2)),
  ];
  return sections.flatMap((lines) => (lines.length === 0 ? [] : [`${lines.join('\n')}\n`])).join('\n');
}

const count = (number: number, noun: string): string => `${number} ${noun}${number === 1 ? '' : 's'}`;

function head(topology: Topology): string[] {
  const { packages, cores, cpus, numaNodes, memoryBytes } = summarize(topology);
  const parts = [
    count(packages, 'package'),
    count(cores, 'core'),
    count(cpus, 'CPU'),
    count(numaNodes, 'NUMA node'),
    formatBytes(memoryBytes),
  ];
  return wrap(`${topology.architecture}: ${parts.join(', ')}`, WIDTH, 2);
}

/** Packages > nodes > L3 > cores. A level with nothing to tell apart has no line of its own. */
function tree(topology: Topology): string[] {
  const l3 = l3ByCpu(topology);
  const caches = dataCaches(topology, 3);
  const lines: string[] = [];
  for (const [pkg, members] of [...groupBy(topology.cpus, (cpu) => cpu.package)].sort(([a], [b]) => a - b)) {
    const dies = new Set(members.map((cpu) => cpu.die)).size;
    lines.push(`package ${pkg}${dies > 1 ? `, ${dies} dies` : ''}`);
    for (const [node, local] of [...groupBy(members, (cpu) => cpu.node)].sort(([a], [b]) => (a ?? -1) - (b ?? -1))) {
      lines.push(
        `  ${nodeText(
          topology.numaNodes.find(({ id }) => id === node),
          local,
        )}`,
      );
      for (const [index, sharing] of groupBy(local, (cpu) => l3.get(cpu.id))) {
        const online = sharing.filter((cpu) => cpu.online);
        const parts = [...groupBy(online, (cpu) => cpu.type)].map(([type, same]) => coresText(same, type));
        const l3Text = index === undefined ? '' : `L3 ${formatBytes(caches[index]!.sizeBytes)}`;
        const [only, ...others] = parts;
        if (l3Text !== '' && others.length > 0)
          lines.push(`    ${l3Text}`, ...parts.flatMap((part) => wrap(`      ${part}`, WIDTH, 8)));
        else if (only !== undefined) lines.push(...wrap(`    ${l3Text === '' ? '' : `${l3Text}: `}${only}`, WIDTH, 6));
        lines.push(
          ...marked(
            'isolated',
            online.filter((cpu) => cpu.isolated),
          ),
        );
        lines.push(
          ...marked(
            'offline',
            sharing.filter((cpu) => !cpu.online),
          ),
        );
      }
    }
  }
  const small = [1, 2].flatMap((level) => smallCaches(topology, level));
  return small.length === 0 ? lines : [...lines, ...wrap(`caches: ${small.join(', ')}`, WIDTH, 2)];
}

function apicIds(cpus: readonly Cpu[]): string[] {
  const text = formatApicIds(cpus);
  return text === '' ? [] : wrap(`APIC ids: ${text}`, WIDTH, 2);
}

function nodeText(node: NumaNode | undefined, local: readonly Cpu[]): string {
  if (node === undefined) return 'no NUMA node';
  const here = new Set(local.map(({ id }) => id));
  return node.cpus.every((cpu) => here.has(cpu))
    ? `node ${node.id}, ${formatBytes(node.memoryBytes)}`
    : `part of node ${node.id}`;
}

function marked(word: string, cpus: readonly Cpu[]): string[] {
  return cpus.length === 0 ? [] : wrap(`      ${word}: ${formatCpuList(cpus.map(({ id }) => id))}`, WIDTH, 8);
}

/** `16 cores x 2 threads: 0-15 / 32-47` (first threads, second threads), or core by core where that is no shorter. */
function coresText(cpus: readonly Cpu[], type: Cpu['type']): string {
  const cores = [...groupBy(cpus, (cpu) => cpu.core).values()];
  const sizes = [...new Set(cores.map((core) => core.length))];
  const kind = type === null ? '' : `${type} `;
  const clusters = new Set(cpus.map((cpu) => cpu.cluster)).size;
  const clustered = cpus[0]!.cluster !== null && clusters < cores.length ? ` in ${count(clusters, 'cluster')}` : '';
  const threads = sizes.length === 1 && sizes[0] !== 1 ? ` x ${sizes[0]} threads` : '';
  const title = `${cores.length} ${kind}core${cores.length === 1 ? '' : 's'}${threads}${clustered}`;
  const byThread = [...groupBy(cpus, (cpu) => cpu.thread).values()].map((same) =>
    formatCpuList(same.map(({ id }) => id)),
  );
  const isRegular = sizes.length === 1 && byThread.every((list) => !list.includes(','));
  const each = () => cores.map((core) => formatCpuList(core.map(({ id }) => id))).join(' ');
  return `${title}: ${isRegular || sizes[0] === 1 ? byThread.join(' / ') : each()}`;
}

/** `16 L2 of 2 MiB`, by size. */
function smallCaches(topology: Topology, level: number): string[] {
  const names = { data: `L${level}d`, instruction: `L${level}i`, unified: `L${level}` };
  const same = topology.caches.filter((cache) => cache.level === level);
  return [...groupBy(same, (cache) => `${names[cache.type]} of ${formatBytes(cache.sizeBytes)}`)].map(
    ([text, { length }]) => `${length} ${text}`,
  );
}

function memory(nodes: readonly NumaNode[]): string[] {
  const rows = nodes.map((node) => [
    String(node.id),
    formatBytes(node.memoryBytes),
    node.freeBytes === null ? '-' : formatBytes(node.freeBytes),
    node.hugePages
      .filter(({ total }) => total > 0)
      .map(({ sizeBytes, total, free }) => `${total} x ${formatBytes(sizeBytes)} (${free} free)`)
      .join(', ') || '-',
    formatCpuList(node.cpus) || '-',
  ]);
  return table(['NODE', 'MEMORY', 'FREE', 'HUGE PAGES', 'CPUS'], rows, ['NODE', 'MEMORY', 'FREE'])
    .trimEnd()
    .split('\n');
}

function distances(nodes: readonly NumaNode[]): string[] {
  if (nodes.length < 2) return [];
  const names = nodes.map(({ id }) => String(id));
  const rows = nodes.map((node, index) => [names[index]!, ...node.distances.map(String)]);
  return table(['DISTANCE', ...names], rows, ['DISTANCE', ...names])
    .trimEnd()
    .split('\n');
}

function pci(functions: readonly PciFunction[]): string[] {
  if (functions.length === 0) return [];
  const rows = functions.map((each) => [
    each.address,
    pciClassWord(each.class),
    `${hex(each.vendor)}:${hex(each.device)}`,
    each.driver ?? '-',
    each.node === null ? '-' : String(each.node),
    each.iommuGroup === null ? '-' : String(each.iommuGroup),
  ]);
  const [title, ...lines] = table(['PCI FUNCTION', 'CLASS', 'ID', 'DRIVER', 'NODE', 'IOMMU'], rows, ['NODE', 'IOMMU'])
    .trimEnd()
    .split('\n');
  const remarks = functions.map((each) => wrap(notes(each), WIDTH - 4, 0).map((line) => `    ${line}`));
  return [title!, ...lines.flatMap((line, index) => [line, ...remarks[index]!.filter((text) => text.trim() !== '')])];
}

const hex = (value: number): string => value.toString(16).padStart(4, '0');

function notes({ sriov, physicalFunction, hostUse }: PciFunction): string {
  return [
    sriov === null ? [] : `${sriov.numVfs} of ${count(sriov.totalVfs, 'virtual function')}`,
    physicalFunction === null ? [] : `virtual function of ${physicalFunction}`,
    hostUse === null ? [] : `used by the host: ${hostUse}`,
  ]
    .flat()
    .join('; ');
}

function limits({ cpus, nodes, memoryBytes }: Topology['limits']): string[] {
  const parts = [
    cpus === null ? [] : `CPUs ${formatCpuList(cpus)}`,
    nodes === null ? [] : `nodes ${formatCpuList(nodes)}`,
    memoryBytes === null ? [] : formatBytes(memoryBytes),
  ].flat();
  return parts.length === 0 ? [] : wrap(`limited by its control group to ${parts.join(', ')}`, WIDTH, 2);
}
