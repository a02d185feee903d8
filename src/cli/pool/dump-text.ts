/**
 * The pool and the instances as a stack file that makes them again: what is owned is named exactly, as it is now. Pure.
 * Flow style, of which JSON is a part; a dollar is two, as stack files have it.
 */
import type { FieldRow } from '../../instance/field-row.ts';
import { fieldRows } from '../../instance/fields.ts';
import type { InstanceSpec, InstanceStatus, Placement } from '../../instance/spec.ts';
import type { PoolReport } from '../../pool/contract.ts';
import { formatCpuList } from '../../sys/cpu-list.ts';
import { formatDuration } from '../../sys/units.ts';

/** Of the guest's own tools: every spec has it, and gets it again. */
const TOOLS = ':/run/pk/bin';

/** `name`: of the stack. Foreground instances end with their clients and are left out. */
export function stackText(
  name: string,
  pool: PoolReport['pool'] | undefined,
  instances: readonly InstanceStatus[],
): string {
  const kernels = instances.filter(({ spec }) => !spec.attached);
  return [
    `name: ${flow(name)}`,
    ...(pool === undefined ? [] : [`pool: ${flow(poolOf(pool))}`]),
    kernels.length === 0 ? 'kernels: {}' : 'kernels:',
    ...kernels.flatMap(({ spec, placement }) => [
      `  ${flow(spec.name)}:${spec.channels.length > 0 ? ' # its channels are not in this file' : ''}`,
      ...Object.entries(kernelOf(spec, placement)).map(([key, value]) => `    ${key}: ${flow(value)}`),
    ]),
    '',
  ].join('\n');
}

const flow = (value: unknown): string => JSON.stringify(value).replaceAll('$', '$$$$');

/** Memory is whole pages. */
const size = (bytes: number): string => `${bytes / 1024}KiB`;
const perNode = (memory: readonly { node: number; bytes: number }[]) =>
  Object.fromEntries(memory.map(({ node, bytes }) => [node, size(bytes)]));

function poolOf({ cpus, sharedCpus, memory, devices }: PoolReport['pool']): object {
  return {
    cpus: formatCpuList(cpus),
    ...(sharedCpus.length > 0 && { shared: formatCpuList(sharedCpus) }),
    memory: perNode(memory),
    ...(devices.length > 0 && { devices }),
  };
}

function kernelOf(spec: InstanceSpec, placement: Placement | null): object {
  const { PATH, ...env } = spec.env;
  const path = PATH?.endsWith(TOOLS) ? PATH.slice(0, -TOOLS.length) : PATH;
  const kernel: Record<string, unknown> = {
    command: spec.command,
    driver: spec.driver,
    ...(spec.root !== 'host' && { root: spec.root }),
    environment: { ...env, ...(path !== undefined && { PATH: path }) },
    ...(spec.volumes.length > 0 && { volumes: spec.volumes.map(volumeOf) }),
    ...(spec.publish.length > 0 && { publish: spec.publish.map(publishedOf) }),
    ...(spec.cwd !== '/' && { cwd: spec.cwd }),
    ...(spec.user !== '0' && { user: spec.user }),
    ...(placement === null
      ? { cpus: spec.cpus, memory: size(spec.memoryBytes) }
      : { partition: partitionOf(placement, spec.elastic !== null) }),
    ...(spec.elastic !== null && { elastic: elasticOf(spec.elastic) }),
  };
  for (const [key, row] of fieldRows) {
    const value = spec[key];
    if (value === null || value === undefined || isUsual(spec, key, value, row)) continue;
    const [first, second] = row.stack.key.split('.') as [string, string?];
    const text = row.kind === 'duration' ? formatDuration(value as number) : value;
    if (second === undefined) kernel[first] = text;
    else kernel[first] = { ...(kernel[first] as object | undefined), [second]: text };
  }
  // Without a command of its own there is no check, whatever its times are.
  if (spec.healthCommand === null) delete kernel.healthcheck;
  return kernel;
}

function isUsual(spec: InstanceSpec, key: string, value: unknown, { default: usual }: FieldRow): boolean {
  if (key === 'hostname') return value === spec.name;
  if (key === 'network') return value === (spec.publish.length > 0 ? 'private' : 'none');
  return usual !== undefined && JSON.stringify(usual) === JSON.stringify(value);
}

const volumeOf = ({ source, target, readOnly, maySetId }: InstanceSpec['volumes'][number]) => ({
  ...{ source, target },
  ...(readOnly && { readOnly }),
  ...(maySetId && { maySetId }),
});

function publishedOf({ hostAddress, hostPort, guestPort, protocol }: InstanceSpec['publish'][number]): string {
  const address = hostAddress.includes(':') ? `[${hostAddress}]` : hostAddress;
  return `${address}:${hostPort}:${guestPort}/${protocol}`;
}

/** One whose CPUs may change cannot be held to these. */
function partitionOf({ partition }: Placement, isElastic: boolean): object {
  const { cpus, shared, memory, hugePageBytes, devices } = partition;
  const own = isElastic ? { count: cpus.length, smt: 'any' } : formatCpuList(cpus);
  return {
    cpus: shared === null ? own : { shared: shared.milliCpus / 1000, weight: shared.weight },
    memory: { nodes: perNode(memory), ...(hugePageBytes !== null && { hugePages: size(hugePageBytes) }) },
    ...(devices.length > 0 && { devices }),
  };
}

function elasticOf({ cpus, memoryBytes }: NonNullable<InstanceSpec['elastic']>): object {
  return {
    ...(cpus !== null && { cpus }),
    ...(memoryBytes !== null && { memory: { min: size(memoryBytes.min), max: size(memoryBytes.max) } }),
  };
}
