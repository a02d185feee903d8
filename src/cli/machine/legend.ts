/** What the marks mean, and what each owner has. */
import { free, type Ledger, type Partition, promisedMilliCpus, totalBytes } from '../../ledger/index.ts';
import { formatCpuList } from '../../sys/cpu-list.ts';
import { formatBytes } from '../../sys/units.ts';
import type { Topology } from '../../topology/index.ts';
import { clip, type Line, plain, widthOf, wrap } from './line.ts';
import { BARRED, FREE, HOST, type Mark, OFFLINE, OTHERS, SHARED } from './owners.ts';

/** Owners up to which each has a line of its own. */
const LISTED_OWNERS = 24;
const NAME_COLUMNS = 20;

export interface Kinds {
  host: readonly number[];
  barred: readonly number[];
  offline: readonly number[];
}

export function legend(
  topology: Topology,
  ledger: Ledger,
  marks: ReadonlyMap<string, Mark>,
  kinds: Kinds,
  width: number,
): Line[] {
  const owners = [...marks.keys()];
  const names = [...owners, 'not allowed'].map((name) => name.length);
  const column = Math.min(Math.max(...names), NAME_COLUMNS, Math.floor(width / 3));
  const entry = (mark: Mark, name: string, parts: readonly string[]) =>
    wrap(
      [plain(` ${mark.glyph} `, mark.sgr), plain(` ${clip(name, column).padEnd(column)}  `)],
      parts.join(' · ').split(' '),
      width,
    );
  const rest = free(ledger);
  const promised = [...promisedMilliCpus(Object.values(ledger.partitions)).values()].reduce(
    (sum, each) => sum + each,
    0,
  );
  const pool = ledger.pool;
  const shared = pool?.sharedCpus ?? [];
  const hostBytes =
    topology.numaNodes.reduce((sum, node) => sum + node.memoryBytes, 0) - totalBytes(pool?.memory ?? []);
  const isolated = topology.cpus.filter((cpu) => cpu.isolated).map((cpu) => cpu.id);
  const optional = (cpus: readonly number[], mark: Mark, name: string) =>
    cpus.length === 0 ? [] : entry(mark, name, [cpusText(cpus)]);
  return [
    ...(owners.length <= LISTED_OWNERS
      ? owners.flatMap((owner) => entry(marks.get(owner)!, owner, partitionParts(ledger.partitions[owner]!)))
      : columns(owners, ledger, marks, width)),
    ...(shared.length === 0
      ? []
      : entry(SHARED, 'shared', [cpusText(shared), `${Math.round(promised / shared.length / 10)} % promised`])),
    ...(pool === null
      ? []
      : entry(FREE, 'free', [
          cpusText(rest.cpus.filter((cpu) => !kinds.offline.includes(cpu))),
          formatBytes(totalBytes(rest.memory)),
          ...rest.devices,
        ])),
    ...entry(HOST, 'host', [cpusText(kinds.host), formatBytes(hostBytes)]),
    ...optional(kinds.barred, BARRED, 'not allowed'),
    ...optional(kinds.offline, OFFLINE, 'offline'),
    ...optional(isolated, { glyph: "'", sgr: '4' }, 'isolated'),
  ];
}

/** Longer lists of CPUs are better seen in the drawing. */
const LIST_COLUMNS = 48;

function cpusText(cpus: readonly number[]): string {
  const list = formatCpuList(cpus);
  if (cpus.length === 1) return `CPU ${list}`;
  return `${cpus.length === 0 ? 'no' : cpus.length} CPUs${list.length <= LIST_COLUMNS ? ` ${list}` : ''}`.trimEnd();
}

function partitionParts({ cpus, shared, memory, hugePageBytes, devices }: Partition): string[] {
  const nodes = memory.map(({ node }) => node).join(',');
  return [
    shared === null ? cpusText(cpus) : `${shared.milliCpus / 1000} of ${cpusText(shared.cpus)}`,
    `${formatBytes(totalBytes(memory))}${memory.length > 0 ? ` on node ${nodes}` : ''}`,
    ...(hugePageBytes === null ? [] : [`pages of ${formatBytes(hugePageBytes)}`]),
    ...devices,
  ];
}

/** Many owners: only names and numbers of CPUs, side by side. */
function columns(owners: readonly string[], ledger: Ledger, marks: ReadonlyMap<string, Mark>, width: number): Line[] {
  const shown = owners.filter((owner) => marks.get(owner)!.glyph !== OTHERS.glyph);
  const others = owners
    .filter((owner) => marks.get(owner)!.glyph === OTHERS.glyph)
    .map((owner) => ledger.partitions[owner]!);
  const size = ({ cpus, shared }: Partition) => (shared === null ? `${cpus.length}` : `${shared.milliCpus / 1000}`);
  const entries = shown.map((owner): Line => {
    const mark = marks.get(owner)!;
    return [
      plain(` ${mark.glyph} `, mark.sgr),
      plain(` ${clip(owner, NAME_COLUMNS)} ${size(ledger.partitions[owner]!)}`),
    ];
  });
  const column = Math.max(...entries.map(widthOf)) + 2;
  const perLine = Math.max(Math.floor((width + 2) / column), 1);
  const height = Math.ceil(entries.length / perLine);
  const lines = Array.from({ length: height }, (_, row) =>
    entries
      .filter((_entry, index) => index % height === row)
      .flatMap((line): Line => [...line, plain(' '.repeat(column - widthOf(line)))]),
  ).map((line) => line.slice(0, -1));
  if (others.length === 0) return lines;
  const cpus = others.reduce((sum, each) => sum + each.cpus.length, 0);
  const bytes = others.reduce((sum, each) => sum + totalBytes(each.memory), 0);
  const words = `${others.length} more with ${cpus} CPUs and ${formatBytes(bytes)}; \`pk ls\` names them`.split(' ');
  return [...lines, ...wrap([plain(` ${OTHERS.glyph} `, OTHERS.sgr), plain(' ')], words, width)];
}
