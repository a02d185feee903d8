/** What happens in each kernel, as text. Pure. */
import type { InstanceStats } from '../api/index.ts';
import { formatBytes } from '../sys/units.ts';
import { table } from './output.ts';

export function statsTable(all: readonly InstanceStats[]): string {
  const rows = all.map(({ name, state, restarts, sample, rates }) => [
    name,
    state,
    percent(rates?.cpuBusy),
    percent(rates?.cpuPressure),
    shown(sample?.runnable),
    memory(sample),
    bytes(rates?.receivedBytesPerSecond),
    bytes(rates?.sentBytesPerSecond),
    rates?.pageFaultsPerSecond == null ? '-' : rates.pageFaultsPerSecond.toFixed(0),
    String(restarts),
  ]);
  const heads = ['NAME', 'STATE', 'CPU', 'PRESSURE', 'RUNNABLE', 'MEMORY', 'RX/S', 'TX/S', 'FAULTS/S', 'RESTARTS'];
  return table(heads, rows, heads.slice(2));
}

const shown = (value: number | null | undefined): string => (value == null ? '-' : String(value));
const percent = (share: number | null | undefined): string => (share == null ? '-' : `${(share * 100).toFixed(1)} %`);
const bytes = (value: number | null | undefined): string => (value == null ? '-' : formatBytes(Math.round(value)));

function memory(sample: InstanceStats['sample']): string {
  const { memoryTotalBytes: total, memoryAvailableBytes: available } = sample ?? {};
  if (total == null || available == null) return '-';
  return `${formatBytes(Math.round((total - available) / 2 ** 20) * 2 ** 20)} of ${formatBytes(Math.round(total / 2 ** 20) * 2 ** 20)}`;
}
