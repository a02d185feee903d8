/** A kernel in QEMU: pausing goes over the monitor, everything else as with every kernel under pk-shim. */
import { randomBytes } from 'node:crypto';
import type { LaunchSpec, SharedRegion } from '../driver.ts';
import { allowRegion } from '../jail/limits.ts';
import { ShimKernel } from '../shim/kernel.ts';
import { connectShim } from '../shim/shim.ts';
import { plugCard } from './card.ts';
import { Qmp } from './qmp.ts';
import { plugRegion, unplugRegion } from './regions.ts';
import { qemuThreads } from './threads.ts';

export class QemuKernel extends ShimKernel {
  private turn: Promise<void> = Promise.resolve();

  pause(): Promise<void> {
    return this.withMonitor(async (monitor) => void (await monitor.execute('stop')));
  }

  resume(): Promise<void> {
    return this.withMonitor(async (monitor) => void (await monitor.execute('cont')));
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
  private withMonitor(use: (monitor: Qmp) => Promise<void>): Promise<void> {
    const turn = this.turn.then(async () => {
      const monitor = await Qmp.open(await connectShim(this.directory, 'monitor'), randomBytes(4).toString('hex'));
      try {
        await use(monitor);
      } finally {
        monitor.close();
      }
    });
    this.turn = turn.catch(() => {});
    return turn;
  }
}
