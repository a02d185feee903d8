/** Samples of what happens in each kernel, and what is told of them. */
import type { ChannelManager } from '../channel/index.ts';
import type { Kernel } from '../driver/index.ts';
import type { InstanceStatus } from '../instance/index.ts';
import type { Clock } from '../sys/clock.ts';
import {
  GUEST_FILES,
  type GuestRates,
  type GuestSample,
  guestRates,
  guestSample,
  type Metric,
  prometheusText,
} from '../telemetry/index.ts';
import type { Journal } from './journal.ts';

const INTERVAL_MS = 500;
/** Rates are taken over about this long. */
const WINDOW_SAMPLES = 4;
const LAST_FILE = GUEST_FILES.at(-1)!;

/** An instance and what its kernel did last. */
export interface InstanceStats {
  name: string;
  state: InstanceStatus['state'];
  restarts: number;
  /** Milliseconds from the start of the present kernel to ready. */
  readyMs: number | null;
  sample: GuestSample | null;
  rates: GuestRates | null;
}

interface Watched {
  kernel: Kernel;
  samples: GuestSample[];
}

export class Telemetry {
  readonly #instances: () => readonly InstanceStatus[];
  readonly #channels: ChannelManager;
  readonly #clock: Clock;
  readonly #journal: Journal;
  readonly #watched = new Map<string, Watched>();

  constructor(instances: () => readonly InstanceStatus[], channels: ChannelManager, clock: Clock, journal: Journal) {
    this.#instances = instances;
    this.#channels = channels;
    this.#clock = clock;
    this.#journal = journal;
  }

  /** A kernel runs: its /proc is read twice a second from now on. */
  kernelUp(name: string, kernel: Kernel): void {
    const watched: Watched = { kernel, samples: [] };
    this.#watched.set(name, watched);
    let files = new Map<string, string>();
    try {
      kernel.guest.watch(GUEST_FILES, INTERVAL_MS, ({ path, content }) => {
        files.set(path, content.toString('latin1'));
        if (path !== LAST_FILE) return;
        watched.samples.push(guestSample(this.#clock.now(), files));
        if (watched.samples.length > WINDOW_SAMPLES) watched.samples.shift();
        files = new Map();
      });
    } catch (error) {
      this.#journal.error(`watching ${name}`, error);
    }
    void kernel.exited.then(() => {
      if (this.#watched.get(name) === watched) this.#watched.delete(name);
    });
  }

  stats(): InstanceStats[] {
    return this.#instances().map(({ spec: { name }, state, restarts, readyMs }) => {
      const samples = this.#watched.get(name)?.samples ?? [];
      const [first, last] = [samples[0], samples.at(-1)];
      const rates = first !== undefined && last !== undefined && first !== last ? guestRates(first, last) : null;
      return { name, state, restarts, readyMs, sample: last ?? null, rates };
    });
  }

  /** All of it for Prometheus. */
  metrics(): string {
    const stats = this.stats();
    const each = (
      name: string,
      help: string,
      type: Metric['type'],
      of: (stats: InstanceStats) => number | null | undefined,
    ): Metric => ({
      name: `polykernel_instance_${name}`,
      help,
      type,
      values: stats.flatMap((instance) => {
        const value = of(instance);
        return value === null || value === undefined ? [] : [{ labels: { instance: instance.name }, value }];
      }),
    });
    const cpu = stats.flatMap(({ name: instance, sample }) =>
      Object.entries(sample?.cpuSeconds ?? {}).map(([state, value]) => ({ labels: { instance, state }, value })),
    );
    const channels = this.#channels.list();
    const ofChannels = (name: string, help: string, of: (channel: (typeof channels)[number]) => number): Metric => ({
      name: `polykernel_channel_${name}`,
      help,
      type: name.endsWith('_total') ? 'counter' : 'gauge',
      values: channels.map((channel) => ({ labels: { channel: channel.name }, value: of(channel) })),
    });
    return prometheusText([
      each('running', '1 while its kernel runs.', 'gauge', ({ state }) => (state === 'running' ? 1 : 0)),
      each('restarts_total', 'Times it was restarted.', 'counter', ({ restarts }) => restarts),
      each('ready_seconds', 'From the last start to ready.', 'gauge', ({ readyMs }) => readyMs && readyMs / 1000),
      {
        name: 'polykernel_instance_cpu_seconds_total',
        help: 'CPU time by state, as the guest counts it.',
        type: 'counter',
        values: cpu,
      },
      each('runnable_tasks', 'Tasks that run or could.', 'gauge', ({ sample }) => sample?.runnable),
      each('memory_bytes', 'Memory of the guest.', 'gauge', ({ sample }) => sample?.memoryTotalBytes),
      each(
        'memory_available_bytes',
        'What new programs could have.',
        'gauge',
        ({ sample }) => sample?.memoryAvailableBytes,
      ),
      each('page_faults_total', 'Page faults.', 'counter', ({ sample }) => sample?.pageFaults),
      each('network_receive_bytes_total', 'Bytes received.', 'counter', ({ sample }) => sample?.receivedBytes),
      each('network_transmit_bytes_total', 'Bytes sent.', 'counter', ({ sample }) => sample?.sentBytes),
      each(
        'cpu_pressure_seconds_total',
        'Time in which a task waited for a CPU.',
        'counter',
        ({ sample }) => sample?.cpuPressureSeconds,
      ),
      ofChannels('depth_bytes', 'Bytes of messages under way.', ({ depthBytes }) => depthBytes),
      ofChannels('size_bytes', 'Bytes for messages under way.', ({ sizeBytes }) => sizeBytes),
      ofChannels('sent_messages_total', 'Messages sent.', ({ from }) => from.messages),
      ofChannels('received_messages_total', 'Messages received.', ({ to }) => to.messages),
      ofChannels('dropped_messages_total', 'Messages dropped because it was full.', ({ from }) => from.drops),
    ]);
  }
}
