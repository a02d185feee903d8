/** From a request to an instance that has everything it owns: all of it, or nothing. */
import type { Drivers } from '../driver/drivers.ts';
import type { DriverTraits } from '../driver/index.ts';
import type { KernelImage } from '../image/contract.ts';
import { type Clock, timestamp } from '../sys/clock.ts';
import { PolykernelError } from '../sys/errors.ts';
import type { StackPart } from './instances.ts';
import { CREATED } from './machine.ts';
import type { Draft, Owner, Provider } from './provider.ts';
import { releaseAll } from './provider.ts';
import { type InstanceRecord, newInstanceId } from './record.ts';
import { resolveSpec } from './resolve.ts';
import { type CreateRequest, checkRequest } from './schema.ts';
import { acceptSources } from './source.ts';
import type { InstanceSpec, InstanceTrial } from './spec.ts';

export interface CreateOptions {
  drivers: Drivers;
  resolveImage(name: string): Promise<KernelImage>;
  providers: readonly Provider[];
  /** Directories that guests may write to. */
  writable: readonly string[];
  clock: Clock;
  complain(doing: string, error: unknown): void;
}

/** Checked, and for itself possible. Throws `invalid`. */
export function possibleRequest(asked: CreateRequest): CreateRequest {
  const request = checkRequest(asked);
  if (!request.attached || request.start !== false) return request;
  throw new PolykernelError('invalid', 'start is false, but a foreground instance starts at once', {
    field: 'start',
    value: false,
  });
}

/** The spec that a request gives an instance called `name`, and the image if it names one. Throws `invalid`, `unavailable`, `unsupported`. */
export async function specOf(
  request: CreateRequest,
  name: string,
  { drivers, resolveImage }: Pick<CreateOptions, 'drivers' | 'resolveImage'>,
): Promise<{ spec: InstanceSpec; image: KernelImage | undefined }> {
  const image = request.image ? await resolveImage(request.image) : undefined;
  const spec = resolveSpec(request, name, await drivers.hostFacts(request.driver ?? 'auto', image?.kind));
  return { spec, image };
}

/**
 * Takes everything for one called `name` from the providers, and has it recorded by `establish`, which awaits nothing. What was
 * taken is given back when anything throws.
 */
export async function createInstance<T>(
  request: CreateRequest,
  name: string,
  part: StackPart | undefined,
  options: CreateOptions,
  establish: (record: InstanceRecord, image: KernelImage) => T,
): Promise<T> {
  const { providers, clock } = options;
  const { spec: resolved, image: named } = await specOf(request, name, options);
  const spec = { ...resolved, stack: part?.stack ?? null };
  const sources = await acceptSources(spec, options.writable);
  const image = named ?? (await options.resolveImage(spec.image));
  checkOwners(spec, image, options.drivers.find(spec.driver)!.traits);
  const draft: Draft = { id: newInstanceId(), spec, image, part };
  let owner: Owner = { id: draft.id, spec };
  try {
    for (const provider of providers) await provider.prepare?.(draft);
    for (const provider of providers) owner = { ...owner, ...provider.reserve?.(draft, owner) };
    const record = { ...emptyRecord(draft, timestamp(clock)), sources, ...owner };
    return establish(record, image);
  } catch (error) {
    await releaseAll(providers, owner, options.complain);
    throw error;
  }
}

/** What createInstance() would make of the request: all is taken and given back. Throws as that. */
export async function tryInstance(
  request: CreateRequest,
  name: string,
  options: CreateOptions,
): Promise<InstanceTrial> {
  const enough = new Error('nothing is made');
  let trial: InstanceTrial | undefined;
  await createInstance(request, name, undefined, options, ({ spec, placement }) => {
    trial = { spec, placement };
    throw enough;
  }).catch((error) => {
    if (error !== enough) throw error;
  });
  return trial!;
}

const emptyRecord = ({ id, spec, part }: Draft, createdAt: string): InstanceRecord => ({
  id,
  spec,
  size: null,
  machine: CREATED,
  launch: null,
  session: null,
  identity: null,
  sources: null,
  bootId: null,
  kernelRelease: null,
  cloned: null,
  imageDigest: null,
  createdAt,
  startedAt: null,
  readyAt: null,
  readyMs: null,
  workingDirectory: null,
  restartAt: null,
  placement: null,
  definition: part?.definition ?? null,
  networkNumber: null,
});

/** Without FUSE, what a user of a guest makes on a volume is its root's with some drivers. Throws `unsupported`. */
function checkOwners({ name, user, volumes }: InstanceSpec, image: KernelImage, driver: DriverTraits): void {
  if (!driver.ownersNeedFuse || /^(0|root)(:|$)/.test(user) || image.modules.fuse !== undefined) return;
  if (volumes.every(({ readOnly }) => readOnly)) return;
  const message = `${name} is to run as user ${user} with a writable volume, and what he makes there would be root's: the image ${image.name} has no FUSE`;
  throw new PolykernelError('unsupported', message, {
    field: 'image',
    value: image.name,
    hint:
      image.name === driver.defaultImage
        ? `Get it anew: pk image pull ${image.name}. Or use --driver ${driver.instead}.`
        : `Import it with its modules (\`pk image import FILE --modules DIRECTORY\`), or use --driver ${driver.instead}.`,
  });
}
