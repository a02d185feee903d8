/**
 * Kernels that become larger and smaller at once, as steps: who loses something gives it up within and on the host, then the ledger
 * changes hands, then who gains it has it on the host and within. Pure: the same input gives the same steps.
 */
import { byPhase } from '../core/step.ts';
import type { Capabilities } from '../driver/index.ts';
import type { InstanceStatus, Placement, Size } from '../instance/contract.ts';
import { checkSize, sizedRequest } from '../instance/size.ts';
import { type InstanceStep, repinInstance, resizeInstance } from '../instance/steps.ts';
import { assign, bytesOn, free, type Ledger, vcpusOf } from '../ledger/index.ts';
import { place } from '../ledger/planner.ts';
import { type Assignment, assignPool, type PoolStep } from '../pool/stack.ts';
import { cpusText } from '../sys/cpu-list.ts';
import { PolykernelError } from '../sys/errors.ts';
import { formatBytes } from '../sys/units.ts';
import type { Topology } from '../topology/index.ts';
import { stayingCpus } from './staying.ts';

export type SizeStep = InstanceStep | PoolStep;

/** A kernel that is to have another size. */
export interface Resized {
  status: InstanceStatus;
  /** JSON of what a stack file says of it; null without one. */
  definition: string | null;
  size: Size;
  /** Its driver's. */
  cpuMoves: Capabilities['cpuMoves'];
}

interface Machine {
  ledger: Ledger;
  /** What changes under way are to give to somebody. */
  reserved: Ledger['partitions'];
  topology: Topology;
}

/**
 * The steps that give all of these their sizes, those that change nothing left out. Throws `invalid` for a size beyond a kernel's
 * bounds, `conflict` when the pool cannot give what is asked, with the planner's reason, or a kernel is neither up nor down.
 */
export function planSizes(resized: readonly Resized[], machine: Machine): SizeStep[] {
  const changed = resized.filter(({ status, size }) => !same(status.size, size));
  for (const each of changed) check(each);
  const placements = placeAll(changed, machine);
  const steps = changed.flatMap(({ status, size }): InstanceStep[] => {
    const { name } = status.spec;
    const after = placements.get(name);
    const cpus = after && { before: status.placement!.vcpuCpus, after: after.vcpuCpus };
    const least = {
      cpus: Math.min(size.cpus, status.size.cpus),
      memoryBytes: Math.min(size.memoryBytes, status.size.memoryBytes),
    };
    const few = cpus && size.cpus > status.size.cpus ? { ...cpus, after: cpus.before } : cpus;
    return [
      ...(same(least, status.size) ? [] : [resizeInstance(name, status.size, least, few)]),
      // Who gains or loses CPUs is put on those he has by that step.
      ...(after && isUp(status) && size.cpus === status.size.cpus && !same(after.vcpuCpus, status.placement!.vcpuCpus)
        ? [repinInstance(name, cpusText(after.partition.cpus))]
        : []),
      ...(same(least, size) ? [] : [resizeInstance(name, least, size, cpus)]),
    ];
  });
  return byPhase<SizeStep>(placements.size === 0 ? steps : [...steps, assignment(changed, placements, machine.ledger)]);
}

function check({ status, size }: Resized): void {
  const { spec, state } = status;
  checkSize(spec.name, spec, size);
  if (!['running', 'created', 'exited', 'backoff'].includes(state)) {
    throw new PolykernelError('conflict', `${spec.name} is ${state}`, {
      field: 'name',
      value: spec.name,
      hint: state === 'paused' ? `Resume it first: pk resume ${spec.name}` : 'Try again when it is up or down.',
    });
  }
  const kind = spec.partition?.cpus.kind ?? 'count';
  if (size.cpus === status.size.cpus || kind !== 'exact') return;
  throw new PolykernelError('conflict', `${spec.name} asks for these CPUs and no others`, {
    field: 'cpus',
    value: size.cpus,
    hint: 'Ask for a number of CPUs in its partition instead.',
  });
}

/** Where the planner puts those that own something, everybody else staying where he is. */
function placeAll(changed: readonly Resized[], { ledger, reserved, topology }: Machine): Map<string, Placement> {
  const owners = changed.filter(({ status }) => status.placement !== null);
  if (owners.length === 0 || ledger.pool === null) return new Map();
  const inPlace = sharesInPlace(owners, ledger, reserved);
  if (inPlace !== undefined) return inPlace;
  const names = new Set(owners.map(({ status }) => status.spec.name));
  const stays = staying(owners, ledger, { reserved, topology });
  const result = place({
    topology,
    pool: ledger.pool,
    requests: owners.map(({ status: { spec, placement }, size }) => ({
      name: spec.name,
      request: {
        ...sizedRequest(spec.partition!, size),
        ...(stays.has(spec.name) && { cpus: { kind: 'exact', cpus: stays.get(spec.name)! } }),
      },
      current: placement!.partition,
    })),
    fixed: {
      ...reserved,
      ...Object.fromEntries(Object.entries(ledger.partitions).filter(([owner]) => !names.has(owner))),
    },
  });
  const [refusal] = result.refused;
  if (refusal !== undefined)
    throw new PolykernelError('conflict', `${refusal.name}: ${refusal.message}`, {
      field: refusal.field,
      hint: refusal.hint,
    });
  return new Map(
    result.placed.map(({ name, partition, vcpuCpus, reasons, kept }) => {
      const { status, size } = owners.find((each) => each.status.spec.name === name)!;
      const before = status.placement!;
      if (kept) return [name, before];
      checkMemoryStays(status, partition.memory);
      const order = keepingOrder(before.vcpuCpus, stays.get(name) ?? vcpuCpus);
      return [
        name,
        { partition, vcpuCpus: order.slice(0, vcpusOf(sizedRequest(status.spec.partition!, size).cpus)), reasons },
      ];
    }),
  );
}

/** What those are to own whose kernels run and cannot leave the CPU on which they booted, by name. Throws `conflict` when there is too little. */
function staying(
  owners: readonly Resized[],
  ledger: Ledger,
  { reserved, topology }: Pick<Machine, 'reserved' | 'topology'>,
): Map<string, number[]> {
  const kernels = owners
    .filter(({ status, cpuMoves }) => cpuMoves === 'not-first' && isUp(status))
    .map(({ status: { spec, placement }, size }) => ({
      name: spec.name,
      request: sizedRequest(spec.partition!, size).cpus,
      vcpuCpus: placement!.vcpuCpus,
      cpus: placement!.partition.cpus,
    }));
  const left = free({ ...ledger, partitions: { ...ledger.partitions, ...reserved } }).cpus;
  const found = stayingCpus(kernels, left, topology);
  const short = kernels.find(({ name, request }) => request.kind === 'count' && !found.has(name));
  if (short === undefined) return found;
  throw new PolykernelError(
    'conflict',
    `${short.name} keeps the CPUs it has while it runs, and too few are free beside them`,
    {
      field: 'cpus',
      hint: 'See `pk pool show` for what is free; or restart it with more.',
    },
  );
}

/** Shares that change where they are; undefined when there is more to it, or one does not fit there: the planner says why. */
function sharesInPlace(
  owners: readonly Resized[],
  ledger: Ledger,
  reserved: Ledger['partitions'],
): Map<string, Placement> | undefined {
  const placed = owners.map(({ status, size }): [string, Placement] | undefined => {
    const { placement, spec } = status;
    const { shared } = placement!.partition;
    if (shared === null || size.memoryBytes !== status.size.memoryBytes) return undefined;
    const milliCpus = Math.round(size.cpus * 1000);
    return [spec.name, { ...placement!, partition: { ...placement!.partition, shared: { ...shared, milliCpus } } }];
  });
  if (placed.some((each) => each === undefined)) return undefined;
  const placements = new Map(placed.flatMap((each) => (each === undefined ? [] : [each])));
  try {
    const { partitions } = assign(
      ledger,
      Object.fromEntries([...placements].map(([name, { partition }]) => [name, partition])),
    );
    const { shared } = free({ ...ledger, partitions: { ...partitions, ...reserved } });
    return shared.every(({ milliCpus }) => milliCpus >= 0) ? placements : undefined;
  } catch {
    return undefined;
  }
}

/** What stays keeps its vCPU where it can: those that are lost are the last, those that are new come behind. */
function keepingOrder(before: readonly number[], after: readonly number[]): number[] {
  const kept = before.filter((cpu) => after.includes(cpu));
  return [...kept, ...after.filter((cpu) => !before.includes(cpu))];
}

/** Memory of a kernel that runs is where it is: it can have more of a node or less, and not other nodes. */
function checkMemoryStays({ spec, placement, state }: InstanceStatus, memory: Placement['partition']['memory']): void {
  const before = placement!.partition.memory;
  const moved = before.find(({ node, bytes }) => {
    const change = bytesOn(memory, node) - bytes;
    const whole = sum(memory) - sum(before);
    return change !== 0 && Math.sign(change) !== Math.sign(whole);
  });
  if (moved === undefined || !isUp({ state })) return;
  throw new PolykernelError('conflict', `the memory of ${spec.name} would have to leave node ${moved.node}`, {
    field: 'memoryBytes',
    hint: 'Give it less, or restart it on another node: `pk apply` plans that.',
  });
}

const sum = (memory: Placement['partition']['memory']): number => memory.reduce((total, { bytes }) => total + bytes, 0);

function assignment(changed: readonly Resized[], placements: ReadonlyMap<string, Placement>, ledger: Ledger): PoolStep {
  const owners = changed.filter(({ status }) => placements.has(status.spec.name));
  const before = owners.map(
    ({ status: { spec, placement }, definition }): Assignment => ({ name: spec.name, spec, placement, definition }),
  );
  const after = before.map((each) => ({ ...each, placement: placements.get(each.name)! }));
  const text = after.map(
    ({ name, placement }) =>
      `${name}: ${ownedText(placement.partition)}, ${formatBytes(sum(placement.partition.memory))}`,
  );
  return assignPool(
    { pool: null, kernels: after },
    { pool: ledger.pool, kernels: before },
    `record ${text.join('; ')}`,
  );
}

const ownedText = ({ cpus, shared }: Placement['partition']): string =>
  shared === null ? cpusText(cpus) : `${shared.milliCpus / 1000} of shared ${cpusText(shared.cpus)}`;

const isUp = ({ state }: Pick<InstanceStatus, 'state'>): boolean => state === 'running';
const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);
