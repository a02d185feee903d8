/** The Prometheus text format 0.0.4. Names and units follow prometheus.io/docs/practices/naming. */
import type { ChannelStatus } from '../channel/contract.ts';
import type { ServiceStatus } from '../service/contract.ts';
import { CPU_STATES, type InstanceStats } from './types.ts';

type Labels = Readonly<Record<string, string | number>>;
type Sample = readonly [labels: Labels, value: number | null | undefined];

/** Collects families in order; one without a sample is left out. */
class Exposition {
  #text = '';

  family(type: 'counter' | 'gauge', name: string, help: string, samples: Iterable<Sample>): void {
    const lines: string[] = [];
    for (const [labels, value] of samples) {
      if (value !== null && value !== undefined) lines.push(`${name}${labelsText(labels)} ${numberText(value)}\n`);
    }
    if (lines.length === 0) return;
    const escaped = help.replace(/\\/g, '\\\\').replace(/\n/g, '\\n');
    this.#text += `# HELP ${name} ${escaped}\n# TYPE ${name} ${type}\n${lines.join('')}`;
  }

  toString(): string {
    return this.#text;
  }
}

export function labelsText(labels: Labels): string {
  const parts = Object.entries(labels).map(
    ([name, value]) => `${name}="${String(value).replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n')}"`,
  );
  return parts.length === 0 ? '' : `{${parts.join(',')}}`;
}

function numberText(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf';
  // Sums of ticks: not more digits than they have.
  return String(Number(value.toPrecision(15)));
}

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

export function metricsText(
  instances: readonly InstanceStats[],
  channels: readonly Pick<ChannelStatus, 'name' | 'depthBytes' | 'sizeBytes' | 'from' | 'to'>[],
  services: readonly Pick<ServiceStatus, 'name' | 'targets' | 'objectives'>[],
  self: SelfMetrics,
  nowMs: number,
): string {
  const out = new Exposition();
  const each = function* (samples: (stats: InstanceStats) => Iterable<readonly [Labels, Sample[1]]>): Iterable<Sample> {
    for (const stats of instances)
      for (const [labels, value] of samples(stats)) yield [{ instance: stats.name, ...labels }, value];
  };
  const add = (
    type: 'counter' | 'gauge',
    name: string,
    help: string,
    samples: (stats: InstanceStats) => Iterable<readonly [Labels, Sample[1]]>,
  ) => out.family(type, `polykernel_instance_${name}`, help, each(samples));
  const gauge = (name: string, help: string, value: (stats: InstanceStats) => Sample[1]) =>
    add('gauge', name, help, (stats) => [[{}, value(stats)]]);
  const counter = (name: string, help: string, value: (stats: InstanceStats) => Sample[1]) =>
    add('counter', name, help, (stats) => [[{}, value(stats)]]);

  add('gauge', 'info', 'What the instance is; always 1.', ({ id, driver, state }) => [[{ id, driver, state }, 1]]);
  gauge('up', 'Whether its kernel runs.', ({ state }) => (state === 'running' || state === 'paused' ? 1 : 0));
  gauge('vcpus', 'CPUs it was given.', ({ vcpus }) => vcpus);
  gauge('memory_limit_bytes', 'Memory it was given.', ({ memoryBytes }) => memoryBytes);
  counter('restarts_total', 'Restarts by its restart policy.', ({ restarts }) => restarts);
  gauge('ready_seconds', 'Spawn to ready of the last start.', ({ readyMs }) =>
    readyMs === null ? null : readyMs / 1000,
  );
  gauge('sample_age_seconds', 'Age of the newest reading of the guest.', ({ guest }) =>
    guest === null ? null : Math.max(0, (nowMs - Date.parse(guest.at)) / 1000),
  );

  add('counter', 'cpu_seconds_total', 'CPU time as the guest accounts it, by state.', ({ guest }) =>
    CPU_STATES.map((state) => [{ state }, guest?.cpuSeconds?.[state]]),
  );
  gauge('run_queue_tasks', 'Tasks that run or want to.', ({ guest }) => guest?.runQueue);
  gauge('blocked_tasks', 'Tasks that wait for a disk.', ({ guest }) => guest?.blocked);
  add('counter', 'pressure_stalled_seconds_total', 'PSI: time in which some or all tasks waited.', ({ guest }) =>
    Object.entries(guest?.pressure.seconds ?? {}).flatMap(([resource, stall]) => [
      [{ resource, kind: 'some' }, stall?.some],
      [{ resource, kind: 'full' }, stall?.full],
    ]),
  );
  add(
    'gauge',
    'cpu_pressure_ratio',
    'Share of the time in which tasks waited for a CPU, by PSI or its substitute.',
    ({ guest }) => (guest === null ? [] : [[{ source: guest.pressure.source }, guest.pressure.cpu]]),
  );
  add('gauge', 'memory_bytes', 'Memory as the guest sees it.', ({ guest }) => [
    [{ type: 'total' }, guest?.memory?.totalBytes],
    [{ type: 'used' }, guest?.memory?.usedBytes],
    [{ type: 'available' }, guest?.memory?.availableBytes],
    [{ type: 'cached' }, guest?.memory?.cachedBytes],
  ]);
  add('counter', 'page_faults_total', 'Page faults in the guest.', ({ guest }) => [
    [{ type: 'minor' }, guest?.faults?.minor],
    [{ type: 'major' }, guest?.faults?.major],
  ]);
  counter('disk_read_bytes_total', 'Read from its disks.', ({ guest }) => guest?.disk?.readBytes);
  counter('disk_written_bytes_total', 'Written to its disks.', ({ guest }) => guest?.disk?.writtenBytes);
  counter('disk_reads_total', 'Reads its disks completed.', ({ guest }) => guest?.disk?.reads);
  counter('disk_writes_total', 'Writes its disks completed.', ({ guest }) => guest?.disk?.writes);
  counter(
    'network_receive_bytes_total',
    'Received, without the loopback.',
    ({ guest }) => guest?.network?.receivedBytes,
  );
  counter('network_transmit_bytes_total', 'Sent, without the loopback.', ({ guest }) => guest?.network?.sentBytes);
  counter('network_receive_packets_total', 'Packets received.', ({ guest }) => guest?.network?.receivedPackets);
  counter('network_transmit_packets_total', 'Packets sent.', ({ guest }) => guest?.network?.sentPackets);
  counter('network_faults_total', 'Errors and drops of both directions.', ({ guest }) => guest?.network?.faults);

  add('counter', 'host_cpu_seconds_total', 'Real CPU time of each vCPU on the host.', ({ host }) =>
    (host?.vcpus ?? []).map(({ ranSeconds }, vcpu) => [{ vcpu }, ranSeconds]),
  );
  add('counter', 'host_run_delay_seconds_total', 'Time each vCPU waited for a CPU of the host.', ({ host }) =>
    (host?.vcpus ?? []).map(({ delaySeconds }, vcpu) => [{ vcpu }, delaySeconds]),
  );
  counter(
    'host_other_cpu_seconds_total',
    'CPU time of its VMM, jail and shim besides vCPUs.',
    ({ host }) => host?.othersSeconds,
  );
  gauge('host_resident_bytes', 'Memory of the host that its VMM has touched.', ({ host }) => host?.residentBytes);

  const channel = (
    type: 'counter' | 'gauge',
    name: string,
    help: string,
    samples: (one: (typeof channels)[number]) => Sample[],
  ) =>
    out.family(
      type,
      `polykernel_channel_${name}`,
      help,
      channels.flatMap((one) =>
        samples(one).map(([labels, value]): Sample => [{ channel: one.name, ...labels }, value]),
      ),
    );
  const ends = ({ from, to }: (typeof channels)[number]) =>
    [['send', from] as const, ['recv', to] as const].map(([side, end]) => ({
      labels: { side, owner: end.owner },
      end,
    }));
  channel('gauge', 'depth_bytes', 'Bytes of the ring in use.', ({ depthBytes }) => [[{}, depthBytes]]);
  channel('gauge', 'size_bytes', 'Size of the ring.', ({ sizeBytes }) => [[{}, sizeBytes]]);
  for (const [key, help] of [
    ['messages', 'Messages sent or taken.'],
    ['bytes', 'Bytes of these messages.'],
    ['stalls', 'Times a side slept because the ring was full or empty.'],
    ['drops', 'Messages dropped because the ring was full.'],
  ] as const)
    channel('counter', `${key}_total`, help, (one) => ends(one).map(({ labels, end }) => [labels, end[key]]));

  const target = (
    type: 'counter' | 'gauge',
    name: string,
    help: string,
    samples: (one: ServiceStatus['targets'][number]) => Sample[],
  ) =>
    out.family(
      type,
      `polykernel_service_${name}`,
      help,
      services.flatMap(({ name: service, targets }) =>
        targets.flatMap((one) =>
          samples(one).map(([labels, value]): Sample => [{ service, instance: one.instance, ...labels }, value]),
        ),
      ),
    );
  target('gauge', 'target_up', 'Whether the target gets requests.', ({ state }) => [[{}, state === 'up' ? 1 : 0]]);
  for (const [name, key, help] of [
    ['requests_total', 'requests', 'Requests, in tcp mode connections.'],
    ['errors_total', 'errors', 'Statuses of 500 and above, and broken answers.'],
    ['connect_errors_total', 'connectErrors', 'Attempts to connect that failed.'],
    ['retries_total', 'retries', 'Requests that were sent again.'],
  ] as const)
    target('counter', name, help, (one) => [[{}, one[key]]]);
  target('gauge', 'requests_in_flight', 'Requests under way.', ({ inFlight }) => [[{}, inFlight]]);
  target('gauge', 'latency_seconds', 'Latency of the last five minutes.', ({ latency }) =>
    (
      [
        ['0.5', latency.p50],
        ['0.9', latency.p90],
        ['0.99', latency.p99],
      ] as const
    ).map(([quantile, milliseconds]) => [{ quantile }, milliseconds === null ? null : milliseconds / 1000]),
  );
  const promise = (name: string, help: string, samples: (one: ServiceStatus['objectives'][number]) => Sample[]) =>
    out.family(
      'gauge',
      `polykernel_slo_${name}`,
      help,
      services.flatMap(({ name: service, objectives }) =>
        objectives.flatMap((one) =>
          samples(one).map(([labels, value]): Sample => [{ service, objective: one.kind, ...labels }, value]),
        ),
      ),
    );
  promise('attainment_ratio', 'Share of good requests in the last hour.', ({ attainment }) => [[{}, attainment]]);
  promise('target_ratio', 'Share of good requests that is promised.', ({ target: promised }) => [[{}, promised]]);
  promise('error_budget_left_ratio', 'Share of the error budget that is left.', ({ budget }) => [[{}, budget.left]]);
  promise('burn_rate', 'How many times faster than allowed the error budget is spent.', ({ burn }) =>
    burn.map(({ window, burnRate }) => [{ window }, burnRate]),
  );

  const single = (type: 'counter' | 'gauge', name: string, help: string, value: number) =>
    out.family(type, name, help, [[{}, value]]);
  single('counter', 'polykernel_telemetry_samples_total', 'Samples taken of instances.', self.samples);
  single(
    'counter',
    'polykernel_telemetry_cpu_seconds_total',
    'CPU time of the daemon for sampling.',
    self.samplingSeconds,
  );
  single('gauge', 'polykernel_telemetry_history_bytes', 'Size of the history on disk.', self.historyBytes);
  single('counter', 'process_cpu_seconds_total', 'CPU time of the daemon.', self.cpuSeconds);
  single('gauge', 'process_resident_memory_bytes', 'Memory of the daemon.', self.residentBytes);
  single('gauge', 'process_start_time_seconds', 'Start of the daemon since 1970.', self.startedSeconds);
  return out.toString();
}
