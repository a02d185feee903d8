/**
 * Writing and reading the state of a virtual machine by QEMU's migration. `x-ignore-shared` leaves the memory out, which
 * is in a file of its own; it holds for both sides.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { PolykernelError } from '../../sys/errors.ts';
import { plainLine } from '../../sys/text.ts';
import { isRecord, type Qmp } from './qmp.ts';

const DEADLINE_MS = 30_000;
const POLL_MS = 2;

/**
 * Stops the guest and writes its state to `uri`. QEMU notes that the guest ran, so a clone runs as soon as it is loaded.
 * Rejects with `internal` and QEMU's reason, `protocol` for an answer that is none, or that of `signal`.
 */
export async function saveState(monitor: Qmp, uri: string, signal: AbortSignal): Promise<void> {
  await leaveMemoryOut(monitor);
  await monitor.execute('migrate', { uri });
  const deadline = performance.now() + DEADLINE_MS;
  for (;;) {
    const answer = await monitor.execute('query-migrate');
    const { status = 'none', 'error-desc': said } = isRecord(answer) ? answer : {};
    if (status === 'completed') return;
    if (typeof status !== 'string')
      throw new PolykernelError('protocol', "QEMU does not say how far it is with the guest's state");
    if (status === 'failed' || status === 'cancelled' || performance.now() > deadline) {
      const reason = plainLine(typeof said === 'string' ? said : status, 300);
      throw new PolykernelError('internal', `QEMU did not write the guest's state: ${reason}`);
    }
    await delay(POLL_MS, undefined, { signal });
  }
}

/**
 * Lets a QEMU that waits for its state read it from `uri`. Resolves when reading has begun: the guest's first answer
 * shows that it went well, and QEMU ends by itself when it does not.
 */
export async function loadState(monitor: Qmp, uri: string): Promise<void> {
  // Both at once: QEMU carries commands out in order.
  await Promise.all([leaveMemoryOut(monitor), monitor.execute('migrate-incoming', { uri })]);
}

function leaveMemoryOut(monitor: Qmp): Promise<unknown> {
  const capabilities = [{ capability: 'x-ignore-shared', state: true }];
  return monitor.execute('migrate-set-capabilities', { capabilities });
}
