/**
 * How much of its machine a kernel has: CPUs that are online, and memory that is in. The machine is made at its largest when it
 * starts; what it is to have of it can change while it runs, within bounds that its owner stated (`elastic`). Pure.
 */
import { type PartitionRequest, requestedBytes } from '../ledger/index.ts';
import { PolykernelError } from '../sys/errors.ts';
import { formatBytes } from '../sys/units.ts';
import type { Elastic, InstanceSpec, Size } from './spec.ts';

type Sized = Pick<InstanceSpec, 'cpus' | 'memoryBytes' | 'elastic'>;
/** Sizes below it do not boot. */
const MIB = 2 ** 20;

/** What it was declared with. */
export const declaredSize = ({ cpus, memoryBytes }: Sized): Size => ({ cpus, memoryBytes });

/** The machine that its kernel is started in: as large as it may ever get. */
export const machineSize = ({ cpus, memoryBytes, elastic }: Sized): Size => ({
  cpus: elastic?.cpus?.max ?? cpus,
  memoryBytes: elastic?.memoryBytes?.max ?? memoryBytes,
});

/** What it has, or is to have at its next start: as it was last changed, within the bounds of today. */
export function sizeOf({ spec, size }: { spec: Sized; size: Size | null }): Size {
  if (size === null) return declaredSize(spec);
  return {
    cpus: within(size.cpus, spec.elastic?.cpus ?? { min: spec.cpus, max: spec.cpus }),
    memoryBytes: within(
      size.memoryBytes,
      spec.elastic?.memoryBytes ?? { min: spec.memoryBytes, max: spec.memoryBytes },
    ),
  };
}

const within = (value: number, { min, max }: { min: number; max: number }): number =>
  Math.min(max, Math.max(min, value));

/** Throws `invalid` for bounds that what is declared does not lie in. */
export function checkElastic({ cpus, memoryBytes, elastic }: Sized): void {
  const check = (field: string, value: number, bounds: Elastic['cpus'], show: (value: number) => string) => {
    if (bounds === null || (bounds.min <= value && value <= bounds.max)) return;
    throw new PolykernelError(
      'invalid',
      `elastic.${field} goes from ${show(bounds.min)} to ${show(bounds.max)}, and the kernel begins with ${show(value)}`,
      { field: `elastic.${field}`, value: bounds, hint: `Let them begin between these, or widen them.` },
    );
  };
  check('cpus', cpus, elastic?.cpus ?? null, String);
  check('memoryBytes', memoryBytes, elastic?.memoryBytes ?? null, formatBytes);
}

/** Throws `invalid` for a size that a kernel of `name` cannot have without a restart. */
export function checkSize(name: string, spec: Sized, size: Size): void {
  const refuse = (field: keyof Size, is: string, bounds: Elastic['cpus'], show: (value: number) => string) => {
    const range =
      bounds === null
        ? `it was started with ${show(spec[field])} and no bounds to change that within`
        : `it may have ${show(bounds.min)} to ${show(bounds.max)}`;
    throw new PolykernelError('invalid', `${name} cannot have ${is}: ${range}`, {
      field,
      value: size[field],
      hint: `State wider bounds (elastic in a stack file, --elastic-${field === 'cpus' ? 'cpus' : 'memory'} of \`pk run\`), which needs a restart.`,
    });
  };
  const { cpus = null, memoryBytes = null } = spec.elastic ?? {};
  if (!isWithin(size.cpus, cpus ?? { min: spec.cpus, max: spec.cpus }))
    refuse('cpus', `${size.cpus} ${size.cpus === 1 ? 'CPU' : 'CPUs'}`, cpus, String);
  if (!isWithin(size.memoryBytes, memoryBytes ?? { min: spec.memoryBytes, max: spec.memoryBytes }))
    refuse('memoryBytes', `${formatBytes(size.memoryBytes)} of memory`, memoryBytes, formatBytes);
  if (size.memoryBytes % MIB === 0) return;
  throw new PolykernelError('invalid', `memory moves in whole MiB, and ${size.memoryBytes} bytes are none`, {
    field: 'memoryBytes',
    value: size.memoryBytes,
    hint: 'Give a size such as 256M.',
  });
}

const isWithin = (value: number, { min, max }: { min: number; max: number }): boolean => value >= min && value <= max;

/** What an owner of that size asks of the pool: as it asked at first, but for the numbers. */
export function sizedRequest(request: PartitionRequest, size: Size): PartitionRequest {
  const { cpus, memory } = request;
  return {
    ...request,
    cpus: cpus.kind === 'count' ? { ...cpus, count: size.cpus } : cpus,
    memory:
      memory.kind === 'size' && requestedBytes(memory) !== size.memoryBytes
        ? { ...memory, bytes: size.memoryBytes }
        : memory,
  };
}
