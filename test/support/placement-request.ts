import type { CpuRequest, DeviceRequest, MemoryRequest, Partition, PlacementRequest } from '../../src/ledger/index.ts';

/** Short forms for tests of planning. */
export const GIB = 2 ** 30;

type Count = Extract<CpuRequest, { kind: 'count' }>;

export function cores(count: number, change: Partial<Count> = {}): Count {
  return { kind: 'count', count, numa: null, smt: 'whole-core', cache: 'any', near: null, ...change };
}

export function threads(count: number, change: Partial<Count> = {}): Count {
  return cores(count, { smt: 'any', ...change });
}

export function sharedPart(milliCpus: number, weight = 100): CpuRequest {
  return { kind: 'shared', milliCpus, weight };
}

export function size(gib: number, node: number | null = null, hugePageBytes: number | null = null): MemoryRequest {
  return { kind: 'size', bytes: gib * GIB, node, hugePageBytes };
}

export function wants(
  name: string,
  cpus: CpuRequest,
  rest: { memory?: MemoryRequest; devices?: readonly DeviceRequest[]; current?: Partition | null } = {},
): PlacementRequest {
  const { memory = size(1), devices = [], current = null } = rest;
  return { name, request: { cpus, memory, devices }, current };
}

export function owns(cpus: readonly number[], rest: Partial<Partition> = {}): Partition {
  return { cpus, shared: null, memory: [{ node: 0, bytes: GIB }], hugePageBytes: null, devices: [], ...rest };
}
