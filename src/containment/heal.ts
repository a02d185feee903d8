/** Has an instance whose kernel was harmed run again, in a new kernel. */
import type { Instance } from '../instance/contract.ts';

/** How long its own policy has for it. */
const POLICY_MS = 30_000;

/**
 * Restarts it, or waits for its restart policy where that has begun to. Resolves with how, once its workload runs; rejects as
 * Instance.start() does, and when `signal` is aborted.
 */
export async function heal(instance: Instance, signal: AbortSignal): Promise<string> {
  if (instance.state === 'backoff' || (instance.state === 'starting' && instance.record.machine.restarts > 0)) {
    if (await runsWithin(instance, POLICY_MS, signal)) return 'restarted by its policy';
    // Its policy has begun to, and goes on.
    signal.throwIfAborted();
  }
  if (instance.state === 'backoff') await instance.stop();
  else if (instance.active) await instance.kill('to be healed after a trial of containment');
  await instance.start(signal);
  return 'restarted';
}

async function runsWithin(instance: Instance, milliseconds: number, signal: AbortSignal): Promise<boolean> {
  if (instance.state === 'running') return true;
  const done = Promise.withResolvers<boolean>();
  const stop = instance.onChange(() => {
    if (instance.state === 'running') done.resolve(true);
  });
  const giveUp = () => done.resolve(false);
  const timer = setTimeout(giveUp, milliseconds);
  signal.addEventListener('abort', giveUp, { once: true });
  if (signal.aborted) giveUp();
  try {
    return await done.promise;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', giveUp);
    stop();
  }
}
