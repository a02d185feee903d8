/** Ends whatever is left of a launch, even when nothing else is known of it. */
import { removeLimits } from '../jail/limits.ts';
import { InstanceGroups } from './instance-groups.ts';
import { killShim } from './shim.ts';

/** Kills what runs in `directory` and gives back the control groups; `id`: the instance's, where it is known. Idempotent. */
export async function destroyShimLaunch(directory: string, id?: string): Promise<void> {
  // The shim first: a guest that hangs cannot delay that.
  await killShim(directory);
  if (id !== undefined) await new InstanceGroups().remove(id);
  await removeLimits(directory);
}
