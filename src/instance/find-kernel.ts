/** Finds the kernel of an instance that an earlier daemon left running. */
import type { Kernel, KernelExit, LaunchSpec } from '../driver/index.ts';
import { asPolykernelError } from '../sys/errors.ts';
import type { InstanceEnvironment } from './environment.ts';

const died = (message: string): KernelExit => ({ reason: 'died', code: null, signal: null, message });

/**
 * The kernel of an instance, or how it ended. One that cannot be taken over is ended: nobody could reach it. Never rejects: what is
 * not proven to be gone gives what is `left` of it.
 * `launch`: what it was started with, if that is known.
 */
export async function findKernel(
  name: string,
  launch: LaunchSpec | null,
  environment: InstanceEnvironment,
): Promise<Kernel | KernelExit | { left: string }> {
  const gone = died('the kernel was gone when the daemon came back');
  if (launch === null) return gone;
  try {
    const found = (await environment.driver.attach(launch)) ?? gone;
    const isBroken = 'guest' in found && found.guest.brokenBy !== undefined;
    if (!isBroken) return found;
    found.detach();
    throw found.guest.brokenBy;
  } catch (error) {
    environment.complain(`taking over ${name}`, error);
    try {
      await environment.destroy(launch);
    } catch (failure) {
      environment.complain(`ending ${name}`, failure);
      return { left: asPolykernelError(failure, 'ending it').message };
    }
    return died(`the kernel could not be taken over: ${asPolykernelError(error, 'that').message}`);
  }
}
