/** What may be given up for the pool, and what a wish means on a given machine. Pure. */
import { formatCpuList } from '../sys/cpu-list.ts';
import { PolykernelError } from '../sys/errors.ts';
import { formatBytes } from '../sys/units.ts';
import type { Topology } from '../topology/index.ts';
import { addMemory, bytesOn, subtractMemory, totalBytes } from './memory.ts';
import type { NodeMemory, Pool } from './types.ts';

/** A pool as a person asks for it. */
export interface PoolRequest {
  cpus: readonly number[];
  /** Part of `cpus`. */
  sharedCpus: readonly number[];
  /** `size` is spread over the nodes of the CPUs in proportion to their number; `share`: each node's CPUs bring theirs. */
  memory: { kind: 'size'; bytes: number } | { kind: 'nodes'; memory: readonly NodeMemory[] } | { kind: 'share' };
  /** PCI addresses. */
  devices: readonly string[];
}

/** The host kernel cannot do its part with less. */
const HOST_MEMORY_BYTES = 256 * 2 ** 20;

/**
 * The pool that `request` means on `topology`. Throws `invalid`, naming field and value, for CPUs that do not exist, are
 * offline or not allowed to this process, for leaving the host no CPU or too little memory, for memory that is not whole
 * pages or is more than a node has, and for devices that do not exist or that the host uses. What the pool has already stays,
 * whatever became of it (advice tells of it).
 */
export function resolvePool(
  request: PoolRequest,
  topology: Topology,
  has: Pick<Pool, 'cpus' | 'devices'> = { cpus: [], devices: [] },
): Pool {
  const cpus = ascending(request.cpus);
  const sharedCpus = ascending(request.sharedCpus);
  checkCpus(cpus, topology, new Set(has.cpus));
  const stray = sharedCpus.filter((cpu) => !cpus.includes(cpu));
  if (stray.length > 0) {
    throw invalid('pool.shared', formatCpuList(stray), `${theyAre(stray)} not among the pool's CPUs`, {
      hint: `Choose from ${formatCpuList(cpus)}, or add them to the pool's CPUs as well.`,
    });
  }
  const memory = memoryOf(request.memory, cpus, topology);
  checkMemory(memory, topology);
  const devices = [...new Set(request.devices)].sort();
  for (const address of devices) if (!has.devices.includes(address)) checkDevice(address, topology);
  return { cpus, sharedCpus, memory, devices };
}

/** CPUs the host keeps: online, allowed, and not in the pool. */
export function housekeepingCpus(pool: Pool | null, topology: Topology): number[] {
  const given = new Set(pool?.cpus ?? []);
  return usableCpus(topology).filter((cpu) => !given.has(cpu));
}

/** `pool` with more. Throws `invalid` for what is in it already. */
export function grownPool(pool: Pool, request: PoolRequest, topology: Topology): Pool {
  const known = request.cpus.filter((cpu) => pool.cpus.includes(cpu));
  if (known.length > 0) throw invalid('pool.cpus', formatCpuList(known), `${theyAre(known)} in the pool already`);
  const near = request.cpus.length > 0 ? request.cpus : pool.cpus;
  const adds = request.cpus.length > 0 || request.memory.kind !== 'share';
  const extra = adds ? memoryOf(request.memory, near, topology) : [];
  return resolvePool(
    {
      cpus: [...pool.cpus, ...request.cpus],
      sharedCpus: [...pool.sharedCpus, ...request.sharedCpus],
      memory: { kind: 'nodes', memory: addMemory(pool.memory, extra) },
      devices: [...pool.devices, ...request.devices],
    },
    topology,
    pool,
  );
}

/** `pool` with less. Throws `invalid` for what is not in it; whether somebody uses it is the ledger's question. */
export function shrunkPool(pool: Pool, request: PoolRequest, topology: Topology): Pool {
  const missing = request.cpus.filter((cpu) => !pool.cpus.includes(cpu));
  if (missing.length > 0)
    throw invalid('pool.cpus', formatCpuList(missing), `${theyAre(missing)} not in the pool`, {
      hint: `The pool has ${formatCpuList(pool.cpus)}.`,
    });
  for (const address of request.devices) {
    if (!pool.devices.includes(address)) throw invalid('pool.devices', address, `${address} is not in the pool`);
  }
  const less =
    request.memory.kind === 'share'
      ? []
      : request.memory.kind === 'nodes'
        ? request.memory.memory
        : spread(
            request.memory.bytes,
            pool.memory.map(({ node, bytes }) => ({ node, weight: bytes })),
            topology,
          );
  const memory = subtractMemory(pool.memory, less);
  const negative = memory.find(({ bytes }) => bytes < 0);
  if (negative !== undefined) {
    const has = bytesOn(pool.memory, negative.node);
    throw invalid(
      'pool.memory',
      bytesOn(less, negative.node),
      `the pool has ${formatBytes(has)} on node ${negative.node}, ${-negative.bytes} bytes too few`,
    );
  }
  const given = new Set(request.cpus);
  const cpus = pool.cpus.filter((cpu) => !given.has(cpu));
  if (cpus.length === 0) {
    throw invalid('pool.cpus', formatCpuList(request.cpus), 'nothing would be left of the pool', {
      hint: 'Give all of it back with `pk pool release`.',
    });
  }
  return resolvePool(
    {
      cpus,
      sharedCpus: pool.sharedCpus.filter((cpu) => !given.has(cpu)),
      memory: { kind: 'nodes', memory },
      devices: pool.devices.filter((address) => !request.devices.includes(address)),
    },
    topology,
    pool,
  );
}

const theyAre = (cpus: readonly number[]): string =>
  cpus.length === 1 ? `CPU ${cpus[0]} is` : `CPUs ${formatCpuList(cpus)} are`;

const ascending = (values: readonly number[]): number[] => [...new Set(values)].sort((a, b) => a - b);

function usableCpus(topology: Topology): number[] {
  const allowed = topology.limits.cpus === null ? undefined : new Set(topology.limits.cpus);
  return topology.cpus.filter((cpu) => cpu.online && (allowed?.has(cpu.id) ?? true)).map((cpu) => cpu.id);
}

function checkCpus(cpus: readonly number[], topology: Topology, has: ReadonlySet<number>): void {
  const field = 'pool.cpus';
  if (cpus.length === 0)
    throw invalid(field, '', 'a pool needs at least one CPU', { hint: 'Give a list such as 2-15.' });
  const usable = new Set(usableCpus(topology));
  const known = new Map(topology.cpus.map((cpu) => [cpu.id, cpu]));
  const bad = (test: (cpu: number) => boolean) => cpus.filter((cpu) => !usable.has(cpu) && !has.has(cpu) && test(cpu));
  const absent = bad((cpu) => !known.has(cpu));
  if (absent.length > 0) {
    throw invalid(
      field,
      formatCpuList(absent),
      `there ${absent.length === 1 ? 'is no CPU' : 'are no CPUs'} ${formatCpuList(absent)} on this machine`,
      {
        hint: `It has ${formatCpuList(topology.cpus.map((cpu) => cpu.id))}.`,
      },
    );
  }
  const offline = bad((cpu) => known.get(cpu)!.online === false);
  if (offline.length > 0) {
    throw invalid(field, formatCpuList(offline), `${theyAre(offline)} offline`, {
      hint: `Bring it online first: echo 1 > /sys/devices/system/cpu/cpu${offline[0]}/online`,
    });
  }
  const forbidden = bad(() => true);
  if (forbidden.length > 0) {
    throw invalid(field, formatCpuList(forbidden), `${theyAre(forbidden)} not allowed to this process`, {
      hint: `Its cpuset or affinity allows ${formatCpuList([...usable])}.`,
    });
  }
  const given = new Set(cpus);
  if ([...usable].every((cpu) => given.has(cpu))) {
    throw invalid(field, formatCpuList(cpus), 'the host kernel would be left without a CPU', {
      hint: 'Keep at least one CPU out of the pool for housekeeping.',
    });
  }
}

function memoryOf(wish: PoolRequest['memory'], cpus: readonly number[], topology: Topology): NodeMemory[] {
  if (wish.kind === 'nodes') return addMemory(wish.memory);
  const nodes = topology.numaNodes.filter((node) => node.memoryBytes > 0);
  const wanted = new Set(cpus);
  const shares = nodes.map((node) => ({
    node: node.id,
    bytes: node.memoryBytes,
    all: node.cpus.length,
    weight: node.cpus.filter((cpu) => wanted.has(cpu)).length,
  }));
  if (wish.kind === 'share') {
    return addMemory(
      shares
        .filter((share) => share.weight > 0)
        .map(({ node, bytes, all, weight }) => ({ node, bytes: wholePages((bytes * weight) / all, topology) })),
    );
  }
  checkPages(wish.bytes, topology, 'pool.memory');
  const near = shares.some((share) => share.weight > 0)
    ? shares
    : shares.map((share) => ({ ...share, weight: share.bytes }));
  return spread(wish.bytes, near, topology);
}

/** Splits `bytes` into whole pages by weight; what rounding leaves goes to the first node with a weight. */
function spread(bytes: number, shares: readonly { node: number; weight: number }[], topology: Topology): NodeMemory[] {
  const weights = shares.reduce((sum, share) => sum + share.weight, 0);
  const taking = shares.filter((share) => share.weight > 0);
  const parts = taking.map(({ node, weight }) => ({ node, bytes: wholePages((bytes / weights) * weight, topology) }));
  if (parts[0] !== undefined) parts[0].bytes += bytes - totalBytes(parts);
  return addMemory(parts);
}

const wholePages = (bytes: number, topology: Topology): number =>
  Math.floor(bytes / topology.pageBytes) * topology.pageBytes;

function checkPages(bytes: number, topology: Topology, field: string): void {
  if (Number.isSafeInteger(bytes) && bytes >= 0 && bytes % topology.pageBytes === 0) return;
  const below = wholePages(bytes, topology);
  throw invalid(field, bytes, `${bytes} bytes are not whole pages of ${topology.pageBytes} bytes`, {
    hint: `The nearest sizes are ${below} and ${below + topology.pageBytes}.`,
  });
}

function checkMemory(memory: readonly NodeMemory[], topology: Topology): void {
  for (const { node, bytes } of memory) {
    const field = `pool.memory[node ${node}]`;
    const has = topology.numaNodes.find((each) => each.id === node);
    if (has === undefined) {
      throw invalid(field, node, `there is no NUMA node ${node} on this machine`, {
        hint: `It has ${topology.numaNodes.map((each) => each.id).join(', ')}.`,
      });
    }
    checkPages(bytes, topology, field);
    if (bytes > has.memoryBytes) {
      throw invalid(
        field,
        bytes,
        `node ${node} has ${formatBytes(has.memoryBytes)}, ${bytes - has.memoryBytes} bytes too few`,
        {
          hint: 'Give less, or spread it over more nodes.',
        },
      );
    }
  }
  const total = topology.numaNodes.reduce((sum, node) => sum + node.memoryBytes, 0);
  const limit = Math.min(total, topology.limits.memoryBytes ?? total);
  const left = limit - totalBytes(memory);
  if (memory.length > 0 && left < HOST_MEMORY_BYTES) {
    throw invalid(
      'pool.memory',
      totalBytes(memory),
      `the host kernel would be left with ${formatBytes(Math.max(left, 0))}`,
      {
        hint: `Give at most ${formatBytes(Math.max(limit - HOST_MEMORY_BYTES, 0))}.`,
      },
    );
  }
}

function checkDevice(address: string, topology: Topology): void {
  const field = 'pool.devices';
  const device = topology.pci.find((each) => each.address === address);
  if (device === undefined) {
    throw invalid(field, address, `there is no PCI function ${address} on this machine`, {
      hint: 'See `pk topology` for those there are.',
    });
  }
  if (device.hostUse !== null) {
    throw invalid(field, address, `${address} is in use by the host: ${device.hostUse}`, {
      hint: 'Choose another device, or free this one first.',
    });
  }
}

function invalid(field: string, value: unknown, message: string, detail: { hint?: string } = {}): PolykernelError {
  return new PolykernelError('invalid', `${field}: ${message}`, { field, value, ...detail });
}
