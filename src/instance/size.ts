/**
 * How much of its machine a kernel has: CPUs that are online, and memory that is in. The machine is made at its largest when it
 * starts; what it is to have of it can change while it runs, within bounds that its owner stated (`elastic`). Pure.
 */
import type { KernelSize } from '../driver/index.ts';
import { type PartitionRequest, requestedBytes } from '../ledger/index.ts';
import { PolykernelError } from '../sys/errors.ts';
import { formatBytes } from '../sys/units.ts';
import type { Bounds, Elastic, InstanceSpec, Size } from './spec.ts';

type Sized = Pick<InstanceSpec, 'cpus' | 'memoryBytes' | 'elastic'> & Partial<Pick<InstanceSpec, 'partition'>>;
/** Sizes below it do not boot. */
const MIB = 2 ** 20;

/** Whether its CPUs are a part of shared ones, in thousandths. */
export const isShare = ({ partition }: Sized): boolean => partition?.cpus.kind === 'shared';

/** What it was declared with. */
export const declaredSize = ({ cpus, memoryBytes, partition }: Sized): Size => ({
  cpus: partition?.cpus.kind === 'shared' ? partition.cpus.milliCpus / 1000 : cpus,
  memoryBytes,
});

/** What its kernel has of its machine by that: of a part of shared CPUs as many vCPUs as it takes to use it. */
export const kernelSize = ({ cpus, memoryBytes }: Size): KernelSize => ({ cpus: Math.ceil(cpus), memoryBytes });

/** The machine that its kernel is started in: as large as it may ever get. */
export const machineSize = ({ cpus, memoryBytes, elastic }: Sized): KernelSize => ({
  cpus: Math.ceil(elastic?.cpus?.max ?? cpus),
  memoryBytes: elastic?.memoryBytes?.max ?? memoryBytes,
});

/** What it has, or is to have at its next start: as it was last changed, within the bounds of today. */
export function sizeOf({ spec, size }: { spec: Sized; size: Size | null }): Size {
  if (size === null) return declaredSize(spec);
  const { cpus, memoryBytes } = boundsOf(spec);
  return { cpus: within(size.cpus, cpus), memoryBytes: within(size.memoryBytes, memoryBytes) };
}

/** Without bounds that were stated nothing changes. */
function boundsOf(spec: Sized): Record<keyof Size, Bounds> {
  const { cpus, memoryBytes } = declaredSize(spec);
  return {
    cpus: spec.elastic?.cpus ?? { min: cpus, max: cpus },
    memoryBytes: spec.elastic?.memoryBytes ?? { min: memoryBytes, max: memoryBytes },
  };
}

const within = (value: number, { min, max }: { min: number; max: number }): number =>
  Math.min(max, Math.max(min, value));

/** Throws `invalid` for bounds that what is declared does not lie in. */
export function checkElastic(spec: Sized): void {
  const { elastic } = spec;
  const { cpus, memoryBytes } = declaredSize(spec);
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
  if (elastic?.cpus) checkPieces('elastic.cpus', Object.values(elastic.cpus), spec);
}

/** CPUs are whole, or thousandths of shared ones that need the same number of vCPUs. Throws `invalid`. */
function checkPieces(field: string, sizes: readonly number[], spec: Sized): void {
  const refuse = (reason: string, hint: string) => {
    throw new PolykernelError('invalid', `${field}: ${reason}`, { field, value: sizes.join(' to '), hint });
  };
  if (!isShare(spec)) {
    if (!sizes.every(Number.isInteger))
      refuse('these CPUs are whole ones', 'Give whole numbers, or own a share: `pk run --share 0.5`.');
    return;
  }
  const vcpus = new Set([declaredSize(spec).cpus, ...sizes].map(Math.ceil));
  if (vcpus.size > 1)
    refuse(
      'a share changes while it needs the same number of CPUs',
      'Stay at or below 1, or between two whole numbers.',
    );
  if (sizes.some((size) => Math.round(size * 1000) / 1000 !== size))
    refuse('a share is counted in thousandths', 'Give at most three decimals, such as 0.25.');
}

/** Throws `invalid` for a size that a kernel of `name` cannot have without a restart. */
export function checkSize(name: string, spec: Sized, size: Size): void {
  const refuse = (field: keyof Size, is: string, bounds: Elastic['cpus'], show: (value: number) => string) => {
    const range =
      bounds === null
        ? `it was started with ${show(declaredSize(spec)[field])} and no bounds to change that within`
        : `it may have ${show(bounds.min)} to ${show(bounds.max)}`;
    throw new PolykernelError('invalid', `${name} cannot have ${is}: ${range}`, {
      field,
      value: size[field],
      hint: `State wider bounds (elastic in a stack file, --elastic-${field === 'cpus' ? 'cpus' : 'memory'} of \`pk run\`), which needs a restart.`,
    });
  };
  const { cpus = null, memoryBytes = null } = spec.elastic ?? {};
  const bounds = boundsOf(spec);
  if (!isWithin(size.cpus, bounds.cpus))
    refuse('cpus', `${size.cpus} ${size.cpus === 1 ? 'CPU' : 'CPUs'}`, cpus, String);
  if (!isWithin(size.memoryBytes, bounds.memoryBytes))
    refuse('memoryBytes', `${formatBytes(size.memoryBytes)} of memory`, memoryBytes, formatBytes);
  checkPieces('cpus', [size.cpus], spec);
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
    cpus:
      cpus.kind === 'count'
        ? { ...cpus, count: size.cpus }
        : cpus.kind === 'shared'
          ? { ...cpus, milliCpus: Math.round(size.cpus * 1000) }
          : cpus,
    memory:
      memory.kind === 'size' && requestedBytes(memory) !== size.memoryBytes
        ? { ...memory, bytes: size.memoryBytes }
        : memory,
  };
}
