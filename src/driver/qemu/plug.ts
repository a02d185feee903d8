/** What plugging things into a running QEMU has in common. */
import { setTimeout as pause } from 'node:timers/promises';
import { PolykernelError } from '../../sys/errors.ts';
import { askShim } from '../shim/shim.ts';

/** Under TCG on a busy machine the guest's hotplug handling takes a second. */
const PLUG_DEADLINE_MS = 15_000;
const POLL_MS = 20;

/** Gives QEMU's monitor a descriptor, by a request of pk-shim. Rejects with `internal` saying why not. */
export async function pass(directory: string, request: string, what: string): Promise<void> {
  const answer = await askShim(directory, request);
  if (answer === 'ok\n') return;
  const reason = answer.replace(/^error /, '').trim() || 'the kernel ended meanwhile';
  throw new PolykernelError('internal', `QEMU could not be given ${what}: ${reason}`);
}

/** Repeats `attempt` until it succeeds or the deadline passes: the guest takes note of a plug in its own time. */
export async function eventually(
  attempt: () => Promise<void>,
  signal?: AbortSignal,
  patienceMs = PLUG_DEADLINE_MS,
): Promise<void> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      const hopeless = !(error instanceof PolykernelError) || error.code !== 'internal';
      if (hopeless || signal?.aborted || performance.now() > deadline) throw error;
    }
    await pause(POLL_MS);
  }
}
