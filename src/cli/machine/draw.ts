/** The machine drawn in the terminal: who owns which thread of which core, and which part of each node's memory. */
import { housekeepingCpus, type Ledger } from '../../ledger/index.ts';
import { formatBytes } from '../../sys/units.ts';
import type { Cpu, NumaNode, Topology } from '../../topology/index.ts';
import { cpuLines, cpuStyle } from './cpus.ts';
import { legend } from './legend.ts';
import { BOLD, box, clip, type Line, plain, render } from './line.ts';
import { memoryLines } from './memory.ts';
import { BARRED, FREE, HOST, type Mark, marksOf, OFFLINE, SHARED } from './owners.ts';

/** Narrower than this nothing can be drawn; then lines are this wide. */
const LEAST_WIDTH = 40;

/**
 * Packages and NUMA nodes as boxes, in them cores grouped by L3, each core a cell with a mark for each of its threads, and
 * a bar for the memory; below, what every mark means. Owners are letters, and with `color` colours as well. Machines of up
 * to 64 CPUs are drawn with CPU numbers, larger ones with one character per CPU. No line has more than `width` columns
 * (at least 40).
 */
export function drawMap(topology: Topology, ledger: Ledger, options: { color: boolean; width: number }): string {
  const width = Math.max(Math.floor(options.width), LEAST_WIDTH);
  const marks = marksOf(ledger);
  const { markOf, kinds } = cpuMarks(topology, ledger, marks);
  const style = cpuStyle(topology, markOf, width - 8);
  const cpus = (some: readonly Cpu[], room: number) => cpuLines(some, style, room);
  const memory = (node: NumaNode, room: number) => memoryLines(node, ledger, marks, room);
  const known = new Map(topology.numaNodes.map((node) => [node.id, node]));
  const packages = [...Map.groupBy(topology.cpus, (cpu) => cpu.package)].sort(([a], [b]) => a - b);
  // A node's memory is drawn with its CPUs, unless they are in several packages.
  const whole = new Set(
    topology.numaNodes.filter((node) => packages.some(([, members]) => within(node, members))).map((node) => node.id),
  );

  const boxes = packages.flatMap(([id, members]) => {
    const nodes = [...Map.groupBy(members, (cpu) => cpu.node)].sort(([a], [b]) => (a ?? -1) - (b ?? -1));
    const part = (node: number | null, some: readonly Cpu[], room: number): Line[] => [
      ...cpus(some, room),
      ...(node !== null && whole.has(node) ? memory(known.get(node)!, room) : []),
    ];
    if (nodes.length === 1) {
      const [node, some] = nodes[0]!;
      return box(`package ${id} · ${nodeTitle(node, whole)}`, part(node, some, width - 4), width);
    }
    const inner = nodes.flatMap(([node, some]) => box(nodeTitle(node, whole), part(node, some, width - 8), width - 4));
    return box(`package ${id}`, inner, width);
  });
  const apart = topology.numaNodes
    .filter((node) => !whole.has(node.id))
    .flatMap((node) =>
      box(`node ${node.id} · memory${node.cpus.length === 0 ? ' only' : ''}`, memory(node, width - 4), width),
    );

  const head: Line = [plain(clip(summary(topology), width), BOLD)];
  return render([head, ...boxes, ...apart, ...legend(topology, ledger, marks, kinds, width)], options.color);
}

function within(node: NumaNode, cpus: readonly Cpu[]): boolean {
  const ids = new Set(cpus.map((cpu) => cpu.id));
  return node.cpus.length > 0 && node.cpus.every((cpu) => ids.has(cpu));
}

function nodeTitle(node: number | null, whole: ReadonlySet<number>): string {
  if (node === null) return 'no node';
  return whole.has(node) ? `node ${node}` : `node ${node} (part)`;
}

function summary(topology: Topology): string {
  const count = (number: number, noun: string) => `${number} ${noun}${number === 1 ? '' : 's'}`;
  const different = (key: 'package' | 'core') => new Set(topology.cpus.map((cpu) => cpu[key])).size;
  const bytes = topology.numaNodes.reduce((sum, node) => sum + node.memoryBytes, 0);
  return [
    topology.architecture,
    count(different('package'), 'package'),
    count(topology.numaNodes.length, 'node'),
    count(different('core'), 'core'),
    count(topology.cpus.length, 'CPU'),
    formatBytes(bytes),
  ].join(' · ');
}

function cpuMarks(topology: Topology, ledger: Ledger, marks: ReadonlyMap<string, Mark>) {
  const found = new Map<number, Mark>();
  const host = housekeepingCpus(ledger.pool, topology);
  for (const cpu of host) found.set(cpu, HOST);
  for (const cpu of ledger.pool?.cpus ?? []) found.set(cpu, FREE);
  for (const cpu of ledger.pool?.sharedCpus ?? []) found.set(cpu, SHARED);
  for (const [owner, { cpus }] of Object.entries(ledger.partitions)) {
    for (const cpu of cpus) found.set(cpu, marks.get(owner)!);
  }
  const offline = topology.cpus.filter((cpu) => !cpu.online).map((cpu) => cpu.id);
  for (const cpu of offline) found.set(cpu, OFFLINE);
  const barred = topology.cpus.filter((cpu) => !found.has(cpu.id)).map((cpu) => cpu.id);
  return { markOf: (cpu: Cpu) => found.get(cpu.id) ?? BARRED, kinds: { host, barred, offline } };
}
