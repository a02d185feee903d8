/**
 * Desired state minus what is gives typed steps, with a reason for each. Pure: the same input gives the same plan, byte
 * for byte. What carries the steps out is the daemon's business.
 */
import { refuseChannels, restartsFor } from '../channel/stack.ts';
import { byPhase } from '../core/step.ts';
import type { Availability, Capabilities } from '../driver/index.ts';
import {
  askedSize,
  type InstanceSpec,
  type InstanceStatus,
  type Observed,
  type Placement,
} from '../instance/contract.ts';
import { declaredSize, sizedRequest } from '../instance/size.ts';
import { ACTIVE, type KernelPlan, kernelSteps, planKernel, storedDefinition } from '../instance/stack.ts';
import { removeInstance } from '../instance/steps.ts';
import { type Advice, advise, type Interrupt } from '../ledger/advice.ts';
import {
  changePool,
  type Ledger,
  type Partition,
  type PartitionRequest,
  type PlacementRequest,
  type Pool,
  type Refused,
  requestedBytes,
  resolvePool,
  vcpusOf,
} from '../ledger/index.ts';
import { place } from '../ledger/planner.ts';
import { type Assignment, assignPool, type PoolStep } from '../pool/stack.ts';
import type { LeasedFunction } from '../sriov/contract.ts';
import { cpusText, formatCpuList } from '../sys/cpu-list.ts';
import { PolykernelError } from '../sys/errors.ts';
import { formatBytes } from '../sys/units.ts';
import type { Topology } from '../topology/index.ts';
import { functionsThatStay, refuseFunctions } from './functions.ts';
import { nothingPresent, type Present, planSections, type SectionPlans, sectionSteps } from './sections.ts';
import type { Stack } from './stack.ts';
import { type ShownStep, type StackStep, showStep } from './steps.ts';

export interface Plan extends SectionPlans {
  format: 1;
  stack: string;
  /** The pool as it will be; `change` is null when it stays as it is. */
  pool: { after: Pool | null; change: { before: Pool | null; text: string } | null };
  kernels: KernelPlan[];
  steps: ShownStep[];
  /** What cannot be; with any of these the plan is not carried out. */
  refused: Refused[];
  advice: readonly Advice[];
}

export interface PlanInput {
  stack: Stack;
  topology: Topology;
  ledger: Ledger;
  /** What changes under way are to give to somebody. */
  reserved: Ledger['partitions'];
  instances: readonly Observed[];
  present: Present;
  /** Whose PCI functions are. */
  leases: readonly LeasedFunction[];
  /** When kernels of each driver can be given shared memory. */
  sharedMemory: ReadonlyMap<string, Capabilities['sharedMemory']>;
  /** What each kernel would be, or why it cannot be; for a machine that is only described, nothing. */
  resolved: ReadonlyMap<string, InstanceSpec | PolykernelError>;
  /** What drivers use, of those that use any. */
  accelerators: ReadonlyMap<string, NonNullable<Availability['accelerator']>>;
  interrupts: readonly Interrupt[] | undefined;
}

/** A plan for people, and the steps that carry it out. */
export interface Planned {
  plan: Plan;
  /** None with anything refused. */
  steps: StackStep[];
}

export function plan(input: PlanInput): Planned {
  const { stack, ledger, topology } = input;
  const refused: Refused[] = [];
  const pool = desiredPool(input, refused);
  const mine = new Map(
    input.instances
      .filter(({ status }) => status.spec.stack === stack.name)
      .map((each) => [each.status.spec.name, each]),
  );
  const others = input.instances.filter(({ status }) => status.spec.stack !== stack.name);
  for (const { name } of stack.kernels) {
    const resolved = input.resolved.get(name);
    if (resolved instanceof PolykernelError) refused.push(refusal(name, resolved));
    const holder = others.find(({ status }) => status.spec.name === name);
    if (holder !== undefined) refused.push(nameTaken(name, holder.status.spec.stack));
  }
  const placements = placeAll(input, pool, mine, refused);
  const question = {
    stack: stack.name,
    wanted: stack,
    present: input.present,
    gone: 'it is no longer in the stack file',
  };
  const plans = planSections(question, refused);
  const driverOf = (name: string) => {
    const spec = input.resolved.get(name);
    return spec === undefined || spec instanceof PolykernelError ? undefined : spec.driver;
  };
  refuseChannels(stack.channels, driverOf, input.sharedMemory, refused);
  const restarts = (name: string) => {
    const status = mine.get(name)?.status;
    if (status === undefined || !ACTIVE.has(status.state)) return [];
    return restartsFor(name, status.spec.driver, plans.channels, input.present.channels, input.sharedMemory);
  };
  const kernels = [
    ...stack.kernels.map((kernel) =>
      planKernel(kernel, mine.get(kernel.name), placements.get(kernel.name) ?? null, restarts(kernel.name)),
    ),
    ...[...mine.keys()]
      .filter((name) => !stack.kernels.some((kernel) => kernel.name === name))
      .sort()
      .map(
        (name): KernelPlan => ({
          name,
          action: 'remove',
          why: ['it is no longer in the stack file'],
          changes: [],
          placement: null,
        }),
      ),
  ];
  refused.push(...refuseFunctions(stack.kernels, kernels, { topology, pool, leases: input.leases }));
  const change = poolChange(ledger.pool, pool);
  const after: Record<string, Partition> = {};
  for (const { status } of others) if (status.placement !== null) after[status.spec.name] = status.placement.partition;
  for (const { name, placement } of kernels) if (placement !== null) after[name] = placement.partition;
  const steps =
    refused.length > 0
      ? []
      : byPhase([
          ...sectionSteps(plans, input.present, stack.name),
          ...kernelSteps(stack, kernels, mine),
          ...assignSteps(input, kernels, mine, { after: pool, change }),
        ]);
  const shown: Plan = {
    format: 1,
    stack: stack.name,
    pool: { after: pool, change },
    kernels,
    ...plans,
    steps: steps.map(showStep),
    refused,
    advice: advise({
      topology,
      ledger: { pool, partitions: after },
      requests: Object.fromEntries(
        stack.kernels.flatMap(({ name, partition }) => (partition === null ? [] : [[name, partition]])),
      ),
      instances: adviceInstances(input, others, functionsThatStay(stack.kernels, kernels)),
      // Interrupts are steered when the pool is made real: before that they say nothing about it.
      irqs: change === null && pool !== null ? input.interrupts : undefined,
    }),
  };
  return { plan: shown, steps };
}

/** The plan that takes a whole stack away. */
export function planDestroy(
  stack: string,
  pool: Pool | null,
  instances: readonly Observed[],
  present: Present,
): Planned {
  const names = instances
    .filter(({ status }) => status.spec.stack === stack)
    .map(({ status }) => status.spec.name)
    .sort();
  const kernels = names.map(
    (name): KernelPlan => ({ name, action: 'remove', why: ['the stack is destroyed'], changes: [], placement: null }),
  );
  const plans = planSections({ stack, present, gone: 'the stack is destroyed' }, []);
  const steps = byPhase([...sectionSteps(plans, present, stack), ...names.map((name) => removeInstance(name, stack))]);
  const shown: Plan = {
    format: 1,
    stack,
    pool: { after: pool, change: null },
    kernels,
    ...plans,
    steps: steps.map(showStep),
    refused: [],
    advice: [],
  };
  return { plan: shown, steps };
}

function desiredPool({ stack, ledger, topology, reserved }: PlanInput, refused: Refused[]): Pool | null {
  if (stack.pool === null) return ledger.pool;
  try {
    const pool = resolvePool(stack.pool, topology, ledger.pool ?? undefined);
    if (ledger.pool !== null) changePool({ pool: ledger.pool, partitions: {} }, pool, reserved);
    return pool;
  } catch (error) {
    if (!(error instanceof PolykernelError)) throw error;
    refused.push(refusal('pool', error));
    return ledger.pool;
  }
}

function placeAll(
  { stack, topology, instances, reserved }: PlanInput,
  pool: Pool | null,
  mine: ReadonlyMap<string, Observed>,
  refused: Refused[],
): Map<string, Placement> {
  const requests: PlacementRequest[] = [];
  for (const { name, partition } of stack.kernels) {
    if (partition !== null) requests.push({ name, ...asItIs(partition, mine.get(name)?.status) });
  }
  const placements = new Map<string, Placement>();
  if (requests.length === 0) return placements;
  if (pool === null) {
    if (refused.some((each) => each.name === 'pool')) return placements;
    refused.push({
      name: 'pool',
      field: 'pool',
      message: `${requests[0]!.name} asks for a partition, and there is no pool`,
      hint: 'Add `pool:` to the stack file, or make one: pk pool init --cpus LIST --memory SIZE',
    });
    return placements;
  }
  const fixed: Record<string, Partition> = { ...reserved };
  for (const { status } of instances) {
    if (status.spec.stack !== stack.name && status.placement !== null)
      fixed[status.spec.name] = status.placement.partition;
  }
  const result = place({ topology, pool, requests, fixed });
  refused.push(...result.refused);
  for (const { name, partition, vcpuCpus, reasons, kept } of result.placed) {
    const current = mine.get(name)?.status.placement;
    // What stays keeps its vCPUs' order and the reasons given when it came.
    placements.set(name, kept && current ? current : { partition, vcpuCpus, reasons });
  }
  return placements;
}

/** What it has become within its bounds is no drift, unless the file now says another size. */
function asItIs(
  request: PartitionRequest,
  status: InstanceStatus | undefined,
): Pick<PlacementRequest, 'request' | 'current'> {
  if (status === undefined) return { request, current: null };
  const { spec, size, placement } = status;
  const cpus = request.cpus.kind === 'shared' ? request.cpus.milliCpus / 1000 : vcpusOf(request.cpus);
  const declared = declaredSize(spec);
  const isSame = cpus === declared.cpus && requestedBytes(request.memory) === declared.memoryBytes;
  return { request: isSame ? sizedRequest(request, size) : request, current: placement?.partition ?? null };
}

/** Who owns what, recorded in one step with the pool; none when that stays. */
function assignSteps(
  { stack, ledger, resolved }: PlanInput,
  kernels: readonly KernelPlan[],
  mine: ReadonlyMap<string, Observed>,
  { after: pool, change }: Plan['pool'],
): PoolStep[] {
  const definitions = new Map(stack.kernels.map((kernel) => [kernel.name, kernel]));
  const assigned = kernels.filter(({ action }) => action === 'change' || action === 'replace');
  if (change === null && assigned.length === 0) return [];
  const parts = [
    ...(change === null ? [] : [`${change.before === null ? 'make' : 'change'} the pool: ${change.text}`]),
    ...(assigned.length === 0 ? [] : [`record ${assigned.map(({ name }) => name).join(', ')}`]),
  ];
  const after = assigned.map(({ name, placement }): Assignment => {
    const spec = { ...(resolved.get(name) as InstanceSpec), stack: stack.name };
    return { name, spec, placement, definition: storedDefinition(definitions.get(name)!) };
  });
  const before = assigned.map(({ name }): Assignment => {
    const { status, definition } = mine.get(name)!;
    return { name, spec: status.spec, placement: status.placement, definition };
  });
  const changed = change === null ? null : pool;
  return [assignPool({ pool: changed, kernels: after }, { pool: ledger.pool, kernels: before }, parts.join('; '))];
}

function poolChange(before: Pool | null, after: Pool | null): Plan['pool']['change'] {
  if (after === null || same(before, after)) return null;
  const memory = formatBytes(after.memory.reduce((sum, { bytes }) => sum + bytes, 0));
  const shared = after.sharedCpus.length > 0 ? ` (${formatCpuList(after.sharedCpus)} shared)` : '';
  const devices = after.devices.length > 0 ? `, devices ${after.devices.join(', ')}` : '';
  return { before, text: `${cpusText(after.cpus)}${shared}, ${memory}${devices}` };
}

function adviceInstances(
  { stack, resolved, accelerators }: PlanInput,
  others: readonly Observed[],
  functions: ReadonlyMap<string, readonly string[]>,
) {
  type Facts = Parameters<typeof advise>[0]['instances'][string];
  const instances: Record<string, Facts> = {};
  const facts = (driver: string, vcpus: number, memoryBytes: number): Facts => ({
    accelerator: accelerators.get(driver) ?? null,
    vcpus,
    memoryBytes,
  });
  for (const { status } of others) {
    const { name, driver, cpus, memoryBytes } = status.spec;
    instances[name] = facts(driver, cpus, memoryBytes);
  }
  for (const { name, create, partition } of stack.kernels) {
    const spec = resolved.get(name);
    if (spec !== undefined && !(spec instanceof PolykernelError)) {
      instances[name] = facts(spec.driver, spec.cpus, spec.memoryBytes);
      continue;
    }
    const { cpus, memoryBytes } = askedSize({ ...create, ...(partition && { partition }) });
    instances[name] = facts(create.driver ?? 'auto', cpus, memoryBytes);
  }
  for (const [name, addresses] of functions) instances[name]!.functions = addresses;
  return instances;
}

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

const refusal = (name: string, error: PolykernelError): Refused => ({
  name,
  field: error.field ?? '',
  message: error.message,
  hint: error.hint ?? '',
});

const nameTaken = (name: string, stack: string | null): Refused => ({
  name,
  field: 'name',
  message: `the name is taken by an instance ${stack === null ? 'that no stack owns' : `of the stack ${stack}`}`,
  hint: `Rename the kernel, or remove that one: pk rm -f ${name}`,
});

/** The plan for a machine that is only described: nothing runs on it and it has no pool but the stack's own. */
export function planFor(stack: Stack, topology: Topology): Plan {
  const input: PlanInput = {
    stack,
    topology,
    ledger: { pool: null, partitions: {} },
    reserved: {},
    instances: [],
    present: nothingPresent,
    leases: [],
    sharedMemory: new Map(),
    resolved: new Map(),
    accelerators: new Map(),
    interrupts: undefined,
  };
  return plan(input).plan;
}
