/** A kernel in QEMU: pausing goes over the monitor, everything else as with every kernel under pk-shim. */
import { randomBytes } from 'node:crypto';
import { ShimKernel } from '../kernel.ts';
import { qemuThreads } from '../launch-threads.ts';
import { connectShim } from '../shim.ts';
import { Qmp } from './qmp.ts';

export class QemuKernel extends ShimKernel {
  readonly driver = 'qemu';

  pause(): Promise<void> {
    return this.command('stop');
  }

  resume(): Promise<void> {
    return this.command('cont');
  }

  protected readonly threadsOf = qemuThreads;

  /** The monitor is opened for each command: an idle kernel costs the manager no connection. */
  private async command(name: string): Promise<void> {
    const monitor = await Qmp.open(await connectShim(this.directory, 'monitor'), randomBytes(4).toString('hex'));
    try {
      await monitor.execute(name);
    } finally {
      monitor.close();
    }
  }
}
