/** Finds the kernel of an instance that an earlier daemon left running, or ends it. */
import type { Kernel, KernelExit, LaunchSpec } from '../driver/index.ts';
import { asPolykernelError } from '../sys/errors.ts';
import type { InstanceEnvironment } from './environment.ts';
import type { InstanceRecord } from './record.ts';

/** How often one that an earlier daemon left is looked for that is not proven to be gone. */
export const PROOF_AGAIN_MS = 2_000;

const died = (message: string): KernelExit => ({ reason: 'died', code: null, signal: null, message });

const GONE = died('the kernel was gone when the daemon came back');

/** What is not proven to be gone. */
interface Left {
  left: string;
}

interface Search {
  /** Aborted when nobody waits for its guest any more. */
  signal: AbortSignal;
  /** Then it is the next daemon's, and not to be ended. */
  isDetached(): boolean;
  /** It stands still, and is to be left so. */
  isPaused: boolean;
  /** Told of its process, before its guest is asked. */
  seen(pid: number): void;
}

/**
 * The kernel of an instance, or how it ended. One that cannot be taken over is ended: nobody could reach it. Never rejects: what is
 * not proven to be gone gives what is `left` of it. One that is the next daemon's by then is left as it was found.
 * `launch`: what it was started with, if that is known.
 */
export async function findKernel(
  name: string,
  launch: LaunchSpec | null,
  environment: InstanceEnvironment,
  { signal, isDetached, isPaused, seen }: Search,
): Promise<Kernel | KernelExit | Left> {
  if (launch === null) return GONE;
  const paused = () => isPaused && isDetached();
  const attached = environment.driver.attach(launch, seen, { signal, paused });
  try {
    const found = (await orAborted(attached, signal)) ?? GONE;
    if (!('guest' in found) || found.guest.brokenBy === undefined) return found;
    throw found.guest.brokenBy;
  } catch (error) {
    const over = attached.then(
      async (found) => {
        if (found !== undefined && 'guest' in found) await leave(found, paused());
      },
      () => {},
    );
    if (isDetached()) {
      if (isPaused) await over;
      return GONE;
    }
    if (!signal.aborted) environment.complain(`taking over ${name}`, error);
    const ended = await endLaunch(name, launch, environment);
    if ('left' in ended) return ended;
    // What it still does in the directory is over before another kernel is started there.
    await over;
    return died(`the kernel could not be taken over: ${asPolykernelError(error, 'that').message}`);
  }
}

/** Whether it is paused also for a next daemon. */
export const staysPaused = ({ machine, pausedBriefly }: InstanceRecord): boolean =>
  machine.state === 'paused' && pausedBriefly !== true;

/** Lets go of one that was found, and was `paused`: finding woke it. Never rejects. */
export async function leave(kernel: Kernel, paused: boolean): Promise<void> {
  if (paused) await kernel.pause().catch(() => {});
  kernel.detach();
}

/** Ends the kernel of an instance without asking its guest. Never rejects, as findKernel(). */
export async function endLaunch(
  name: string,
  launch: LaunchSpec | null,
  environment: InstanceEnvironment,
): Promise<KernelExit | Left> {
  try {
    if (launch !== null) await environment.destroy(launch);
    return GONE;
  } catch (error) {
    environment.complain(`ending ${name}`, error);
    return { left: asPolykernelError(error, 'ending it').message };
  }
}

async function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const stop = () => reject(signal.reason);
  if (signal.aborted) stop();
  signal.addEventListener('abort', stop, { once: true });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
