/** The numbers kept over time: one column each. */
import type { CpuState, InstanceStats } from './types.ts';

export interface Metric {
  unit: 'CPUs' | 'tasks' | 'share' | 'bytes' | 'bytes/s' | '1/s' | 'ms' | 'requests';
  /** Null when it is not known. */
  of(stats: InstanceStats): number | null | undefined;
}

const cpu = (state: CpuState): Metric => ({ unit: 'CPUs', of: ({ guest }) => guest?.cpu?.[state] });
const metric = (unit: Metric['unit'], of: Metric['of']): Metric => ({ unit, of });

/** By name, in the order they are stored; docs/telemetry.md explains each. Changing it empties the history. */
export const METRICS: Readonly<Record<string, Metric>> = {
  cpuBusy: metric('CPUs', ({ guest }) => guest?.busy),
  cpuUser: cpu('user'),
  cpuSystem: cpu('system'),
  cpuIdle: cpu('idle'),
  cpuIowait: cpu('iowait'),
  cpuIrq: cpu('irq'),
  cpuSteal: cpu('steal'),
  hostCpu: metric('CPUs', ({ host }) => host?.cpu),
  hostDelay: metric('CPUs', ({ host }) => host?.delay),
  hostOthers: metric('CPUs', ({ host }) => host?.others),
  runQueue: metric('tasks', ({ guest }) => guest?.runQueue),
  blocked: metric('tasks', ({ guest }) => guest?.blocked),
  pressureCpu: metric('share', ({ guest }) => guest?.pressure.cpu),
  pressureMemory: metric('share', ({ guest }) => guest?.pressure.memory),
  pressureIo: metric('share', ({ guest }) => guest?.pressure.io),
  memoryUsedBytes: metric('bytes', ({ guest }) => guest?.memory?.usedBytes),
  memoryAvailableBytes: metric('bytes', ({ guest }) => guest?.memory?.availableBytes),
  memoryCachedBytes: metric('bytes', ({ guest }) => guest?.memory?.cachedBytes),
  hostResidentBytes: metric('bytes', ({ host }) => host?.residentBytes),
  minorFaults: metric('1/s', ({ guest }) => guest?.faults?.minorPerSecond),
  majorFaults: metric('1/s', ({ guest }) => guest?.faults?.majorPerSecond),
  diskReadBytes: metric('bytes/s', ({ guest }) => guest?.disk?.readBytesPerSecond),
  diskWrittenBytes: metric('bytes/s', ({ guest }) => guest?.disk?.writtenBytesPerSecond),
  diskReads: metric('1/s', ({ guest }) => guest?.disk?.readsPerSecond),
  diskWrites: metric('1/s', ({ guest }) => guest?.disk?.writesPerSecond),
  networkReceivedBytes: metric('bytes/s', ({ guest }) => guest?.network?.receivedBytesPerSecond),
  networkSentBytes: metric('bytes/s', ({ guest }) => guest?.network?.sentBytesPerSecond),
  networkReceivedPackets: metric('1/s', ({ guest }) => guest?.network?.receivedPacketsPerSecond),
  networkSentPackets: metric('1/s', ({ guest }) => guest?.network?.sentPacketsPerSecond),
  channelDepthBytes: metric('bytes', ({ channels }) => channels.reduce((sum, { depthBytes }) => sum + depthBytes, 0)),
  requests: metric('1/s', ({ requests }) => requests?.ratePerSecond),
  requestErrors: metric('1/s', ({ requests }) => requests?.errorsPerSecond),
  requestsInFlight: metric('requests', ({ requests }) => requests?.inFlight),
  latencyP50: metric('ms', ({ requests }) => requests?.latencyMs.p50),
  latencyP90: metric('ms', ({ requests }) => requests?.latencyMs.p90),
  latencyP99: metric('ms', ({ requests }) => requests?.latencyMs.p99),
};

export const METRIC_NAMES: readonly string[] = Object.keys(METRICS);
const METRIC_LIST: readonly Metric[] = Object.values(METRICS);

/** One row: a number per metric, NaN where it is not known. */
export function rowOf(stats: InstanceStats): Float32Array {
  const row = new Float32Array(METRIC_LIST.length);
  for (let at = 0; at < row.length; at++) row[at] = METRIC_LIST[at]!.of(stats) ?? Number.NaN;
  return row;
}
