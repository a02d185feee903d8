/** CPUs of one part of the machine: each core a cell, each thread a mark of its owner. */
import { formatCpuList } from '../../sys/cpu-list.ts';
import { formatBytes } from '../../sys/units.ts';
import { type Cache, type Cpu, dataCaches, type Topology } from '../../topology/index.ts';
import { clip, DIM, type Line, plain, type Span, widthOf } from './line.ts';
import type { Mark } from './owners.ts';

export interface CpuStyle {
  /** With numbers, for small machines; else one character per CPU. */
  detailed: boolean;
  mark(cpu: Cpu): Mark;
  /** Columns of the largest CPU number. */
  digits: number;
  /** Whether isolated CPUs are there to be marked. */
  isolated: boolean;
  l3: ReadonlyMap<number, Cache>;
}

type Core = readonly Cpu[];
interface Group {
  title: string;
  cores: readonly Core[];
}

/** CPUs up to which their numbers are shown. */
const DETAILED_CPUS = 64;

export function cpuStyle(topology: Topology, mark: (cpu: Cpu) => Mark, room: number): CpuStyle {
  const l3 = new Map<number, Cache>();
  for (const cache of dataCaches(topology, 3)) for (const cpu of cache.cpus) l3.set(cpu, cache);
  const digits = String(Math.max(...topology.cpus.map((cpu) => cpu.id), 0)).length;
  const isolated = topology.cpus.some((cpu) => cpu.isolated);
  const style = { detailed: false, mark, digits, isolated, l3 };
  const widest = Math.max(
    ...coresOf(topology.cpus).map((core) => widthOf(cell(core, { ...style, detailed: true }))),
    0,
  );
  return { ...style, detailed: topology.cpus.length <= DETAILED_CPUS && widest <= room };
}

export function cpuLines(cpus: readonly Cpu[], style: CpuStyle, room: number): Line[] {
  const groups = groupsOf(cpus, style);
  return style.detailed ? groups.flatMap((group) => detailed(group, style, room)) : compact(groups, style, room);
}

/** Cores that share an L3 and are of one type, in order of first CPU. */
function groupsOf(cpus: readonly Cpu[], style: CpuStyle): Group[] {
  const dies = new Set(cpus.map((cpu) => cpu.die)).size;
  const key = (cpu: Cpu) => `${style.l3.get(cpu.id)?.cpus[0]}/${cpu.type}/${cpu.die}`;
  const groups = [...Map.groupBy(cpus, key).values()].map((members): Group => {
    const { id, type, die } = members[0]!;
    const cache = style.l3.get(id);
    const words = [
      ...(dies > 1 ? [`die ${die}`] : []),
      ...(cache === undefined ? [] : [`L3 ${formatBytes(cache.sizeBytes)}`]),
      ...(type === null ? [] : [`${type} cores`]),
    ];
    return { title: words.join(' · '), cores: coresOf(members) };
  });
  const titles = new Set(groups.map(({ title }) => title));
  // A cache for each core (as virtual machines have) groups nothing.
  if (groups.length === 1 || titles.size > 1 || groups.some(({ cores }) => cores.length > 1)) return groups;
  const title = groups[0] === undefined || groups[0].title === '' ? '' : `${groups[0].title} each`;
  return [{ title, cores: groups.flatMap(({ cores }) => cores) }];
}

function coresOf(cpus: readonly Cpu[]): Core[] {
  return [...Map.groupBy(cpus, (cpu) => cpu.core).values()];
}

function detailed(group: Group, style: CpuStyle, room: number): Line[] {
  const cells = group.cores.map((core) => cell(core, style));
  const perLine = Math.max(Math.floor((room + 1) / (Math.max(...cells.map(widthOf)) + 1)), 1);
  const lines = chunks(cells, perLine).map((row) =>
    row.flatMap((each, index) => (index === 0 ? each : [plain(' '), ...each])),
  );
  return group.title === '' ? lines : [[plain(clip(group.title, room), DIM)], ...lines];
}

/** `[ 2w 34w]`, or `ww`. */
function cell(core: Core, style: CpuStyle): Span[] {
  const spans = core.map((cpu): Span => {
    const { glyph, sgr } = style.mark(cpu);
    if (!style.detailed) return plain(glyph, cpu.isolated && sgr !== undefined ? `${sgr};4` : cpu.isolated ? '4' : sgr);
    const isolated = style.isolated ? (cpu.isolated ? "'" : ' ') : '';
    return plain(`${String(cpu.id).padStart(style.digits)}${glyph}${isolated}`, sgr);
  });
  if (!style.detailed) return spans;
  // Between threads of one owner the colour goes on.
  const joined = spans.flatMap((span, index) => {
    const left = spans[index - 1];
    return left === undefined ? [span] : [plain(' ', left.sgr === span.sgr ? span.sgr : undefined), span];
  });
  return [plain('[', DIM), ...joined, plain(']', DIM)];
}

/** Columns for the CPU numbers of a line. */
const LABEL = 17;

/** Lines of cores with their CPU numbers in front; a bar stands between groups. */
function compact(groups: readonly Group[], style: CpuStyle, room: number): Line[] {
  const label = Math.min(LABEL, Math.floor(room / 3));
  const threads = Math.max(...groups.flatMap(({ cores }) => cores.map((core) => core.length)), 1);
  const fits = (perLine: number) =>
    rows(groups, perLine).every((row) => widthOf(draw(row, style, threads)) <= room - label - 1);
  const perLine = [96, 64, 48, 32, 24, 16, 12, 8, 6, 4, 2].find(fits) ?? 1;
  return rows(groups, perLine).map((row) => {
    const numbers = formatCpuList(
      row
        .flat(2)
        .map((cpu) => cpu.id)
        .sort((a, b) => a - b),
    );
    return [plain(`${clip(numbers, label).padStart(label)} `, DIM), ...draw(row, style, threads)];
  });
}

/** Each row as the parts of groups on it: whole groups as long as they fit, a larger group on rows of its own. */
function rows(groups: readonly Group[], perLine: number): Core[][][] {
  const all: Core[][][] = [];
  for (const { cores } of groups) {
    const last = all.at(-1);
    const used = last?.reduce((sum, part) => sum + part.length, 0) ?? 0;
    if (last !== undefined && used + cores.length <= perLine) last.push([...cores]);
    else for (const part of chunks(cores, perLine)) all.push([part]);
  }
  return all;
}

function draw(row: readonly (readonly Core[])[], style: CpuStyle, threads: number): Span[] {
  return row.flatMap((part, group) => [
    ...(group === 0 ? [] : [plain(' │ ', DIM)]),
    ...part.flatMap((core, index) => {
      // Cores of one thread need no space to be told apart; eight at a time are easier to count.
      const gap = index > 0 && (threads > 1 || index % 8 === 0);
      return [...(gap ? [plain(' ')] : []), ...cell(core, style)];
    }),
  ]);
}

function chunks<Item>(items: readonly Item[], size: number): Item[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, index) =>
    items.slice(index * size, (index + 1) * size),
  );
}
