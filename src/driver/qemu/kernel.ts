/** A kernel in QEMU: pausing goes over the monitor, everything else as with every kernel under pk-shim. */
import { randomBytes } from 'node:crypto';
import { tellSize } from '../../guest/index.ts';
import { plainText } from '../../sys/text.ts';
import type { KernelFunctions, KernelSize, LaunchSpec, SharedRegion } from '../driver.ts';
import { allowRegion, limitToSize } from '../jail/limits.ts';
import { ShimKernel, type ShimKernelOptions } from '../shim/kernel.ts';
import { connectShim } from '../shim/shim.ts';
import { plugCard } from './card.ts';
import { QemuFunctions } from './plug-functions.ts';
import { Qmp } from './qmp.ts';
import { plugRegion, unplugRegion } from './regions.ts';
import { cpuSteps, memoryIn, onlineCpus, setMemory } from './resize.ts';
import { qemuThreads } from './threads.ts';

/** Of the text of a VMM that may have been taken over; a CPU has 3 KiB. */
const MAX_REGISTERS = 256 * 1024;

interface QemuKernelOptions extends ShimKernelOptions {
  machine: KernelSize;
  /** Memory can be taken out. */
  hasBalloon: boolean;
  identity: LaunchSpec['identity'];
}

export class QemuKernel extends ShimKernel {
  private turn: Promise<void> = Promise.resolve();
  readonly #machine: KernelSize;
  readonly #hasBalloon: boolean;
  readonly functions: KernelFunctions & Pick<QemuFunctions, 'tell'>;

  constructor(options: QemuKernelOptions) {
    super(options);
    this.#machine = options.machine;
    this.#hasBalloon = options.hasBalloon;
    this.functions = new QemuFunctions({ ...options, withMonitor: (use) => this.withMonitor(use) });
  }

  async size(): Promise<KernelSize> {
    const [cpus, memoryBytes] = await Promise.all([
      this.#machine.cpus === 1 ? 1 : onlineCpus(this.guest),
      this.#hasBalloon ? this.withMonitor(memoryIn) : this.#machine.memoryBytes,
    ]);
    return { cpus, memoryBytes };
  }

  async resize({ cpus, memoryBytes }: KernelSize): Promise<void> {
    const now = await this.size();
    const steps = cpus === now.cpus ? [] : cpuSteps(this.#machine.cpus, cpus);
    const told = tellSize({ cpus, memoryBytes });
    // Each time that it is asked something costs as much as the change.
    const outBytes = this.#machine.memoryBytes - memoryBytes;
    if (memoryBytes === now.memoryBytes) {
      limitToSize(this.directory, outBytes);
      return await this.guest.configure([...steps, told]);
    }
    if (steps.length > 0) await this.guest.configure(steps);
    // What comes in is allowed first, what goes out afterwards.
    if (memoryBytes > now.memoryBytes) limitToSize(this.directory, outBytes);
    await this.withMonitor((monitor) => setMemory(monitor, memoryBytes));
    limitToSize(this.directory, outBytes);
    await this.guest.configure([told]);
  }

  pause(): Promise<void> {
    return this.withMonitor(async (monitor) => void (await monitor.execute('stop')));
  }

  resume(): Promise<void> {
    return this.withMonitor(async (monitor) => void (await monitor.execute('cont')));
  }

  registers(): Promise<string> {
    return this.withMonitor(async (monitor) => {
      const text = await monitor.execute('human-monitor-command', { 'command-line': 'info registers -a' });
      return plainText(typeof text === 'string' ? text.replaceAll('\r', '') : '', MAX_REGISTERS);
    });
  }

  async attachRegion(region: SharedRegion): Promise<void> {
    allowRegion(this.directory, region);
    return await this.withMonitor((monitor) => plugRegion(monitor, this.directory, this.guest, region));
  }

  /** Plugs a network card in; once, at the start. Rejects as attachRegion(). */
  joinNetwork(network: NonNullable<LaunchSpec['network']>): Promise<void> {
    return this.withMonitor((monitor) => plugCard(monitor, this.directory, this.guest, network));
  }

  detachRegion(region: Pick<SharedRegion, 'id' | 'name'>): Promise<void> {
    return this.withMonitor((monitor) => unplugRegion(monitor, this.guest, region));
  }

  protected readonly threadsOf = qemuThreads;
  protected readonly childrenAreVcpu = false;

  /** The monitor is opened for each use, one after the other: an idle kernel costs the manager no connection. */
  private withMonitor<T>(use: (monitor: Qmp) => Promise<T>): Promise<T> {
    const result = this.turn.then(async () => {
      const monitor = await Qmp.open(await connectShim(this.directory, 'monitor'), randomBytes(4).toString('hex'));
      try {
        return await use(monitor);
      } finally {
        monitor.close();
      }
    });
    this.turn = result.then(
      () => {},
      () => {},
    );
    return result;
  }
}
