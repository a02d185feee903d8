/** What kernels to come are cloned from is made before anybody waits for one. */
import type { Drivers } from '../driver/drivers.ts';
import type { KernelImage } from '../image/contract.ts';
import { specOf } from './create.ts';
import type { Identities } from './identities.ts';
import { newInstanceId } from './record.ts';
import type { PrewarmRequest } from './requests.ts';

interface PrewarmOptions {
  drivers: Drivers;
  identities: Identities;
  hostPool: { housekeepingCpus(): readonly number[] | undefined };
  resolveImage(name: string): Promise<KernelImage>;
}

/** Resolves with the driver and image that such a request gets. Rejects as an instance of that kind would, which is not made. */
export async function prewarm(
  { driver: wanted = 'auto', cpus, memoryBytes, name }: PrewarmRequest,
  options: PrewarmOptions,
  signal: AbortSignal,
): Promise<{ driver: string; image: string }> {
  const { drivers, identities, hostPool, resolveImage } = options;
  const create = { command: ['true'], driver: wanted, cpus, memoryBytes, image: name };
  const { spec, image: named } = await specOf(create, 'prewarm', options);
  const image = named ?? (await resolveImage(spec.image));
  const id = newInstanceId();
  try {
    const kernel = { image, cpus: spec.cpus, memoryBytes: spec.memoryBytes, identity: identities.take(id) };
    await drivers.find(spec.driver)!.prewarm({ ...kernel, housekeepingCpus: hostPool.housekeepingCpus() }, signal);
  } finally {
    identities.release(id);
  }
  return { driver: spec.driver, image: image.name };
}
