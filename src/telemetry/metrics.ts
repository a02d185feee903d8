/** Numbers of instances and of the daemon itself for Prometheus: a row for each family. */
import { type FamilyOf, familiesFor } from '../core/metric.ts';
import { CPU_STATES, type InstanceStats } from './types.ts';

/** An instance, looked at at this time in milliseconds since 1970. */
type Looked = InstanceStats & { nowMs: number };

const { row, gauge, counter } = familiesFor<Looked>('polykernel_instance_', ({ name }) => ({ instance: name }));

export const instanceMetrics: readonly FamilyOf<Looked>[] = [
  row('gauge', 'info', 'What the instance is; always 1.', ({ id, driver, state }) => [[{ id, driver, state }, 1]]),
  gauge('up', 'Whether its kernel runs.', ({ state }) => (state === 'running' || state === 'paused' ? 1 : 0)),
  gauge('vcpus', 'CPUs it was given.', ({ vcpus }) => vcpus),
  gauge('memory_limit_bytes', 'Memory it was given.', ({ memoryBytes }) => memoryBytes),
  counter('restarts_total', 'Restarts by its restart policy.', ({ restarts }) => restarts),
  gauge('ready_seconds', 'Spawn to ready of the last start.', ({ readyMs }) =>
    readyMs === null ? null : readyMs / 1000,
  ),
  gauge('sample_age_seconds', 'Age of the newest reading of the guest.', ({ guest, nowMs }) =>
    guest === null ? null : Math.max(0, (nowMs - Date.parse(guest.at)) / 1000),
  ),

  row('counter', 'cpu_seconds_total', 'CPU time as the guest accounts it, by state.', ({ guest }) =>
    CPU_STATES.map((state) => [{ state }, guest?.cpuSeconds?.[state]]),
  ),
  gauge('run_queue_tasks', 'Tasks that run or want to.', ({ guest }) => guest?.runQueue),
  gauge('blocked_tasks', 'Tasks that wait for a disk.', ({ guest }) => guest?.blocked),
  row('counter', 'pressure_stalled_seconds_total', 'PSI: time in which some or all tasks waited.', ({ guest }) =>
    Object.entries(guest?.pressure.seconds ?? {}).flatMap(([resource, stall]) => [
      [{ resource, kind: 'some' }, stall?.some],
      [{ resource, kind: 'full' }, stall?.full],
    ]),
  ),
  row(
    'gauge',
    'cpu_pressure_ratio',
    'Share of the time in which tasks waited for a CPU, by PSI or its substitute.',
    ({ guest }) => (guest === null ? [] : [[{ source: guest.pressure.source }, guest.pressure.cpu]]),
  ),
  row('gauge', 'memory_bytes', 'Memory as the guest sees it.', ({ guest }) => [
    [{ type: 'total' }, guest?.memory?.totalBytes],
    [{ type: 'used' }, guest?.memory?.usedBytes],
    [{ type: 'available' }, guest?.memory?.availableBytes],
    [{ type: 'cached' }, guest?.memory?.cachedBytes],
  ]),
  row('counter', 'page_faults_total', 'Page faults in the guest.', ({ guest }) => [
    [{ type: 'minor' }, guest?.faults?.minor],
    [{ type: 'major' }, guest?.faults?.major],
  ]),
  counter('disk_read_bytes_total', 'Read from its disks.', ({ guest }) => guest?.disk?.readBytes),
  counter('disk_written_bytes_total', 'Written to its disks.', ({ guest }) => guest?.disk?.writtenBytes),
  counter('disk_reads_total', 'Reads its disks completed.', ({ guest }) => guest?.disk?.reads),
  counter('disk_writes_total', 'Writes its disks completed.', ({ guest }) => guest?.disk?.writes),
  counter(
    'network_receive_bytes_total',
    'Received, without the loopback.',
    ({ guest }) => guest?.network?.receivedBytes,
  ),
  counter('network_transmit_bytes_total', 'Sent, without the loopback.', ({ guest }) => guest?.network?.sentBytes),
  counter('network_receive_packets_total', 'Packets received.', ({ guest }) => guest?.network?.receivedPackets),
  counter('network_transmit_packets_total', 'Packets sent.', ({ guest }) => guest?.network?.sentPackets),
  counter('network_faults_total', 'Errors and drops of both directions.', ({ guest }) => guest?.network?.faults),

  row('counter', 'host_cpu_seconds_total', 'Real CPU time of each vCPU on the host.', ({ host }) =>
    (host?.vcpus ?? []).map(({ ranSeconds }, vcpu) => [{ vcpu }, ranSeconds]),
  ),
  row('counter', 'host_run_delay_seconds_total', 'Time each vCPU waited for a CPU of the host.', ({ host }) =>
    (host?.vcpus ?? []).map(({ delaySeconds }, vcpu) => [{ vcpu }, delaySeconds]),
  ),
  counter(
    'host_other_cpu_seconds_total',
    'CPU time of its VMM, jail and shim besides vCPUs.',
    ({ host }) => host?.othersSeconds,
  ),
  gauge('host_resident_bytes', 'Memory of the host that its VMM has touched.', ({ host }) => host?.residentBytes),
];

/** What the daemon says of itself. */
export interface SelfMetrics {
  cpuSeconds: number;
  residentBytes: number;
  startedSeconds: number;
  /** CPU time of sampling, and how often. */
  samplingSeconds: number;
  samples: number;
  historyBytes: number;
}

const self = familiesFor<SelfMetrics>('', () => ({}));

export const daemonMetrics: readonly FamilyOf<SelfMetrics>[] = [
  self.counter('polykernel_telemetry_samples_total', 'Samples taken of instances.', ({ samples }) => samples),
  self.counter(
    'polykernel_telemetry_cpu_seconds_total',
    'CPU time of the daemon for sampling.',
    ({ samplingSeconds }) => samplingSeconds,
  ),
  self.gauge('polykernel_telemetry_history_bytes', 'Size of the history on disk.', ({ historyBytes }) => historyBytes),
  self.counter('process_cpu_seconds_total', 'CPU time of the daemon.', ({ cpuSeconds }) => cpuSeconds),
  self.gauge('process_resident_memory_bytes', 'Memory of the daemon.', ({ residentBytes }) => residentBytes),
  self.gauge('process_start_time_seconds', 'Start of the daemon since 1970.', ({ startedSeconds }) => startedSeconds),
];
