/** Measurements as text: tables, lists of one instance, series, CSV. Pure. */

import { formatBytes, formatDuration } from '../../sys/units.ts';
import type { InstanceStats, StatsSeries } from '../../telemetry/contract.ts';
import { METRICS } from '../../telemetry/contract.ts';
import { table } from '../kit/table.ts';

const BARS = '▁▂▃▄▅▆▇█';
const GAP = ' ';

/** One character per value, from 0 to `most` (default: the largest); a space where nothing is known. */
export function sparkline(values: readonly (number | null)[], most?: number): string {
  const top = most ?? Math.max(0, ...values.map((value) => value ?? 0));
  return values
    .map((value) => {
      if (value === null || !Number.isFinite(value)) return GAP;
      const level = top > 0 ? Math.round((value / top) * (BARS.length - 1)) : 0;
      return BARS[Math.min(BARS.length - 1, Math.max(0, level))];
    })
    .join('');
}

/** Percent of one CPU. */
export const percent = (cpus: number | null | undefined): string =>
  cpus === null || cpus === undefined ? '-' : `${(cpus * 100).toFixed(cpus < 0.0995 ? 1 : 0)}%`;

const bytes = (value: number | null | undefined): string =>
  value === null || value === undefined ? '-' : formatBytes(value);
const perSecond = (value: number | null | undefined): string =>
  value === null || value === undefined ? '-' : `${formatBytes(value)}/s`;
const count = (value: number | null | undefined): string =>
  value === null || value === undefined
    ? '-'
    : value < 10 && !Number.isInteger(value)
      ? value.toFixed(1)
      : value.toFixed(0);
const total = (one: number | undefined, other: number | undefined): number | null =>
  one === undefined || other === undefined ? null : one + other;

export interface Column {
  title: string;
  /** What it is sorted by, largest first; names ascending. */
  key(stats: InstanceStats): number | string;
  text(stats: InstanceStats): string;
}

const column = (
  title: string,
  key: (stats: InstanceStats) => number | null | undefined,
  text: Column['text'],
): Column => ({
  title,
  key: (stats) => key(stats) ?? -1,
  text,
});

/** Of the table of all instances. */
export const COLUMNS: readonly Column[] = [
  { title: 'NAME', key: ({ name }) => name, text: ({ name }) => name },
  { title: 'STATE', key: ({ state }) => state, text: ({ state }) => state },
  column(
    'CPU',
    ({ guest }) => guest?.busy,
    ({ guest }) => percent(guest?.busy),
  ),
  column(
    'HOST',
    ({ host }) => host?.cpu,
    ({ host }) => percent(host?.cpu),
  ),
  column(
    'DELAY',
    ({ host }) => host?.delay,
    ({ host }) => percent(host?.delay),
  ),
  column(
    'RUNQ',
    ({ guest }) => guest?.runQueue,
    ({ guest }) => count(guest?.runQueue),
  ),
  column(
    'WAIT',
    ({ guest }) => guest?.pressure.cpu,
    ({ guest }) => percent(guest?.pressure.cpu),
  ),
  column(
    'MEMORY',
    ({ guest }) => guest?.memory?.usedBytes,
    ({ guest }) => bytes(guest?.memory?.usedBytes),
  ),
  column(
    'LIMIT',
    ({ memoryBytes }) => memoryBytes,
    ({ memoryBytes }) => formatBytes(memoryBytes),
  ),
  column(
    'FAULTS/S',
    ({ guest }) => total(guest?.faults?.minorPerSecond, guest?.faults?.majorPerSecond),
    ({ guest }) => count(total(guest?.faults?.minorPerSecond, guest?.faults?.majorPerSecond)),
  ),
  column(
    'DISK',
    ({ guest }) => total(guest?.disk?.readBytesPerSecond, guest?.disk?.writtenBytesPerSecond),
    ({ guest }) => perSecond(total(guest?.disk?.readBytesPerSecond, guest?.disk?.writtenBytesPerSecond)),
  ),
  column(
    'NET',
    ({ guest }) => total(guest?.network?.receivedBytesPerSecond, guest?.network?.sentBytesPerSecond),
    ({ guest }) => perSecond(total(guest?.network?.receivedBytesPerSecond, guest?.network?.sentBytesPerSecond)),
  ),
  column(
    'REQ/S',
    ({ requests }) => requests?.ratePerSecond,
    ({ requests }) => count(requests?.ratePerSecond),
  ),
  column(
    'P99',
    ({ requests }) => requests?.latencyMs.p99,
    ({ requests }) => (requests?.latencyMs.p99 == null ? '-' : `${count(requests.latencyMs.p99)}ms`),
  ),
  column(
    'CHANNELS',
    ({ channels }) => channels.reduce((sum, { depthBytes }) => sum + depthBytes, 0),
    ({ channels }) =>
      channels.length === 0 ? '-' : bytes(channels.reduce((sum, { depthBytes }) => sum + depthBytes, 0)),
  ),
  column(
    'RESTARTS',
    ({ restarts }) => restarts,
    ({ restarts }) => String(restarts),
  ),
];

const LEFT = ['NAME', 'STATE'];
export const RIGHT: readonly string[] = COLUMNS.map(({ title }) => title).filter((title) => !LEFT.includes(title));

export const statsTable = (all: readonly InstanceStats[]): string =>
  table(
    COLUMNS.map(({ title }) => title),
    all.map((stats) => COLUMNS.map(({ text }) => text(stats))),
    RIGHT,
  );

/** Everything of one instance, for people. */
export function statsDetails(stats: InstanceStats): string {
  const { guest, host } = stats;
  const rows: [string, string][] = [
    ['state', `${stats.state}, ${stats.driver}, ${stats.vcpus} vCPUs, ${formatBytes(stats.memoryBytes)}`],
    ['started', `${stats.readyMs === null ? '-' : formatDuration(stats.readyMs)} to ready, ${stats.restarts} restarts`],
  ];
  if (guest === null) rows.push(['guest', 'nothing heard']);
  else {
    const { cpu, pressure, memory, faults, disk, network } = guest;
    const states =
      cpu === null
        ? '-'
        : Object.entries(cpu)
            .map(([state, value]) => `${state} ${percent(value)}`)
            .join(', ');
    rows.push(['cpu (guest)', `${percent(guest.busy)} busy: ${states}`]);
    rows.push(['tasks', `${count(guest.runQueue)} runnable, ${count(guest.blocked)} wait for a disk`]);
    const waiting = (['cpu', 'memory', 'io'] as const)
      .filter((resource) => pressure[resource] !== null)
      .map((resource) => `${resource} ${percent(pressure[resource])}`)
      .join(', ');
    rows.push(['waiting', `${waiting || '-'} of the time (${pressure.source === 'psi' ? 'PSI' : 'by the run queue'})`]);
    if (memory !== null)
      rows.push([
        'memory',
        `${bytes(memory.usedBytes)} used, ${bytes(memory.availableBytes)} available, ${bytes(memory.cachedBytes)} cached`,
      ]);
    if (faults !== null)
      rows.push(['page faults', `${count(faults.minorPerSecond)}/s minor, ${count(faults.majorPerSecond)}/s major`]);
    rows.push([
      'disk',
      disk === null
        ? 'none'
        : `${perSecond(disk.readBytesPerSecond)} read, ${perSecond(disk.writtenBytesPerSecond)} written`,
    ]);
    if (network !== null)
      rows.push([
        'network',
        `${perSecond(network.receivedBytesPerSecond)} received, ${perSecond(network.sentBytesPerSecond)} sent, ${count(network.faultsPerSecond)}/s faults`,
      ]);
  }
  if (host !== null) {
    const extra = host.overGuest === null ? '' : `, ${percent(host.overGuest)} above what the guest accounts`;
    rows.push(['cpu (host)', `${percent(host.cpu)} used, ${percent(host.delay)} withheld${extra}`]);
    for (const [vcpu, { cpu, delay }] of host.vcpus.entries())
      rows.push([`  vCPU ${vcpu}`, `${percent(cpu)} used, ${percent(delay)} withheld`]);
    rows.push(['overhead', `${percent(host.others)} for VMM, jail and shim; ${bytes(host.residentBytes)} resident`]);
  }
  for (const { name, side, depthBytes, sizeBytes, stalls, drops } of stats.channels)
    rows.push([
      `channel ${name}`,
      `${side}: ${bytes(depthBytes)} of ${bytes(sizeBytes)}, ${stalls} stalls, ${drops} drops`,
    ]);
  if (stats.requests !== null) {
    const { ratePerSecond, errorsPerSecond, inFlight, latencyMs } = stats.requests;
    rows.push([
      'requests',
      `${count(ratePerSecond)}/s, ${count(errorsPerSecond)}/s errors, ${inFlight} under way, p99 ${count(latencyMs.p99)} ms`,
    ]);
  }
  const width = Math.max(...rows.map(([title]) => title.length));
  return `${stats.name}\n${rows.map(([title, text]) => `  ${title.padEnd(width)}  ${text}\n`).join('')}`;
}

const GRAPH_WIDTH = 60;

/** A line per metric: its course, mean and peak. */
export function seriesText(series: StatsSeries): string {
  const { name, stepSeconds, times, values, peaks } = series;
  if (times.length === 0) return `${name}: nothing was measured in this time\n`;
  const rows = Object.keys(values).map((metric) => {
    const known = values[metric]!.filter((value) => value !== null);
    const mean = known.reduce((sum, value) => sum + value, 0) / known.length;
    const peak = Math.max(...peaks[metric]!.map((value) => value ?? 0));
    return [metric, sparkline(shrink(peaks[metric]!, GRAPH_WIDTH)), inUnit(metric, mean), inUnit(metric, peak)];
  });
  const from = new Date(times[0]! * 1000).toISOString();
  const to = new Date((times.at(-1)! + stepSeconds) * 1000).toISOString();
  const head = `${name}: ${from} to ${to}, steps of ${formatDuration(stepSeconds * 1000)}\n`;
  return head + table(['METRIC', 'COURSE', 'MEAN', 'PEAK'], rows, ['MEAN', 'PEAK']);
}

/** At most `width` values: the largest of each stretch. */
function shrink(values: readonly (number | null)[], width: number): (number | null)[] {
  if (values.length <= width) return [...values];
  return Array.from({ length: width }, (_, at) => {
    const stretch = values.slice(
      Math.floor((at * values.length) / width),
      Math.floor(((at + 1) * values.length) / width),
    );
    const known = stretch.filter((value) => value !== null);
    return known.length === 0 ? null : Math.max(...known);
  });
}

function inUnit(metric: string, value: number): string {
  if (!Number.isFinite(value)) return '-';
  const unit = METRICS[metric]?.unit;
  if (unit === 'CPUs' || unit === 'share') return percent(value);
  if (unit === 'bytes') return formatBytes(value);
  if (unit === 'bytes/s') return `${formatBytes(value)}/s`;
  return unit === '1/s' ? `${count(value)}/s` : unit === 'ms' ? `${count(value)} ms` : count(value);
}

/** RFC 4180 with a plain line feed: means; nothing where nothing is known. */
export function seriesCsv({ times, values }: StatsSeries): string {
  const metrics = Object.keys(values);
  const lines = times.map((time, at) =>
    [new Date(time * 1000).toISOString(), ...metrics.map((metric) => values[metric]![at] ?? '')].join(),
  );
  return `${[['time', ...metrics].join(), ...lines].join('\n')}\n`;
}

export const CSV_HEAD = `${['time', 'name', 'state', ...Object.keys(METRICS)].join()}\n`;

/** A line per instance. */
export const statsCsv = (all: readonly InstanceStats[]): string =>
  all
    .map((stats) => {
      const numbers = Object.values(METRICS).map(({ of }) => of(stats) ?? '');
      return `${[stats.at ?? '', stats.name, stats.state, ...numbers].join()}\n`;
    })
    .join('');
