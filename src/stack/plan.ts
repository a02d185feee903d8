/**
 * Desired state minus what is gives typed steps, with a reason for each. Pure: the same input gives the same plan, byte
 * for byte. What carries the steps out is the daemon's business.
 */
import type { ChannelStatus } from '../channel/contract.ts';
import { byPhase } from '../core/step.ts';
import type { Capabilities, DriverName } from '../driver/index.ts';
import type { InstanceSpec, InstanceStatus, Observed, Placement } from '../instance/contract.ts';
import {
  createInstance,
  removeInstance,
  repinInstance,
  resumeInstance,
  startInstance,
  stopInstance,
} from '../instance/steps.ts';
import {
  type Advice,
  advise,
  type Interrupt,
  type Ledger,
  type Partition,
  type PlacementRequest,
  type Pool,
  place,
  type Refused,
  resolvePool,
  vcpusOf,
} from '../ledger/index.ts';
import { type Assignment, assignPool } from '../pool/steps.ts';
import type { ServiceStatus } from '../service/contract.ts';
import { cpusText, formatCpuList } from '../sys/cpu-list.ts';
import { PolykernelError } from '../sys/errors.ts';
import { formatBytes } from '../sys/units.ts';
import type { Topology } from '../topology/index.ts';
import { definitionChanges, type FieldChange, storedDefinition } from './definition.ts';
import { type ChannelPlan, channelSteps, planChannels, refuseChannels, restartsFor } from './plan-channels.ts';
import { planServices, type ServicePlan, serviceSteps } from './plan-services.ts';
import type { KernelDefinition, Stack } from './stack.ts';
import { type ShownStep, type StackStep, showStep } from './steps.ts';

/** What is to happen to one kernel. `change`: live. `replace`: stopped, changed, started. */
export type Action = 'create' | 'change' | 'replace' | 'start' | 'resume' | 'repin' | 'remove' | 'keep';

export interface KernelPlan {
  name: string;
  action: Action;
  /** Why, one sentence each; for `keep` empty. */
  why: string[];
  changes: FieldChange[];
  /** Where it will be; null = unpartitioned, or it goes. */
  placement: Placement | null;
}

export interface Plan {
  format: 1;
  stack: string;
  /** The pool as it will be; `change` is null when it stays as it is. */
  pool: { after: Pool | null; change: { before: Pool | null; text: string } | null };
  kernels: KernelPlan[];
  channels: ChannelPlan[];
  services: ServicePlan[];
  steps: ShownStep[];
  /** What cannot be; with any of these the plan is not carried out. */
  refused: Refused[];
  advice: readonly Advice[];
}

export interface PlanInput {
  stack: Stack;
  topology: Topology;
  ledger: Ledger;
  instances: readonly Observed[];
  channels: readonly ChannelStatus[];
  services: readonly ServiceStatus[];
  /** When kernels of each driver can be given shared memory. */
  sharedMemory: ReadonlyMap<DriverName, Capabilities['sharedMemory']>;
  /** What each kernel would be, or why it cannot be; for a machine that is only described, nothing. */
  resolved: ReadonlyMap<string, InstanceSpec | PolykernelError>;
  /** The accelerator QEMU would use. */
  accelerator: 'kvm' | 'tcg' | null;
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
  const channels = planChannels(stack.name, stack.channels, input.channels, refused);
  const services = planServices(stack.name, stack.services, input.services, refused);
  const driverOf = (name: string) => {
    const spec = input.resolved.get(name);
    return spec === undefined || spec instanceof PolykernelError ? undefined : spec.driver;
  };
  refuseChannels(stack.channels, driverOf, input.sharedMemory, refused);
  const restarts = (name: string) => {
    const status = mine.get(name)?.status;
    if (status === undefined || !ACTIVE.has(status.state)) return [];
    return restartsFor(name, status.spec.driver, channels, input.channels, input.sharedMemory);
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
  const change = poolChange(ledger.pool, pool);
  const after: Record<string, Partition> = {};
  for (const { status } of others) if (status.placement !== null) after[status.spec.name] = status.placement.partition;
  for (const { name, placement } of kernels) if (placement !== null) after[name] = placement.partition;
  const steps =
    refused.length > 0
      ? []
      : byPhase([
          ...serviceSteps(services, input.services, stack.name),
          ...channelSteps(channels, input.channels, stack.name),
          ...kernelSteps(input, kernels, mine, { after: pool, change }),
        ]);
  const shown: Plan = {
    format: 1,
    stack: stack.name,
    pool: { after: pool, change },
    kernels,
    channels,
    services,
    steps: steps.map(showStep),
    refused,
    advice: advise({
      topology,
      ledger: { pool, partitions: after },
      requests: Object.fromEntries(
        stack.kernels.flatMap(({ name, partition }) => (partition === null ? [] : [[name, partition]])),
      ),
      instances: adviceInstances(input, others),
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
  present: readonly ChannelStatus[],
  served: readonly ServiceStatus[],
): Planned {
  const names = instances
    .filter(({ status }) => status.spec.stack === stack)
    .map(({ status }) => status.spec.name)
    .sort();
  const kernels = names.map(
    (name): KernelPlan => ({ name, action: 'remove', why: ['the stack is destroyed'], changes: [], placement: null }),
  );
  const channels = present
    .filter((channel) => channel.stack === stack)
    .map(({ name }): ChannelPlan => ({ name, action: 'remove', why: ['the stack is destroyed'], channel: null }));
  const services = served
    .filter((service) => service.stack === stack)
    .map(({ name }): ServicePlan => ({ name, action: 'remove', why: ['the stack is destroyed'], service: null }));
  const steps = byPhase([
    ...serviceSteps(services, served, stack),
    ...channelSteps(channels, present, stack),
    ...names.map((name) => removeInstance(name, stack)),
  ]);
  const shown: Plan = {
    format: 1,
    stack,
    pool: { after: pool, change: null },
    kernels,
    channels,
    services,
    steps: steps.map(showStep),
    refused: [],
    advice: [],
  };
  return { plan: shown, steps };
}

function desiredPool({ stack, ledger, topology }: PlanInput, refused: Refused[]): Pool | null {
  if (stack.pool === null) return ledger.pool;
  try {
    return resolvePool(stack.pool, topology);
  } catch (error) {
    if (!(error instanceof PolykernelError)) throw error;
    refused.push(refusal('pool', error));
    return ledger.pool;
  }
}

function placeAll(
  { stack, topology, instances }: PlanInput,
  pool: Pool | null,
  mine: ReadonlyMap<string, Observed>,
  refused: Refused[],
): Map<string, Placement> {
  const requests: PlacementRequest[] = [];
  for (const { name, partition } of stack.kernels) {
    if (partition !== null)
      requests.push({ name, request: partition, current: mine.get(name)?.status.placement?.partition ?? null });
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
  const fixed: Record<string, Partition> = {};
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

function planKernel(
  kernel: KernelDefinition,
  observed: Observed | undefined,
  placement: Placement | null,
  restarts: readonly string[],
): KernelPlan {
  const { name } = kernel;
  if (observed === undefined) return { name, action: 'create', why: ['it does not exist'], changes: [], placement };
  const { status, misplaced } = observed;
  const changes = observed.definition === null ? [] : definitionChanges(observed.definition, kernel);
  const before = status.placement;
  const why = changes.map(({ path, live }) => `${path} changes${live ? '' : ', which needs a restart'}`);
  const movesMemory =
    placement !== null && before !== null && !same(before.partition.memory, placement.partition.memory);
  if (movesMemory && !changes.some(({ path }) => path === 'partition.memory'))
    why.push('its memory moves to other nodes, which needs a restart');
  why.push(...restarts);
  const moves = placement !== null && !same(partOf(before), partOf(placement));
  if (changes.some(({ live }) => !live) || movesMemory || restarts.length > 0)
    return { name, action: 'replace', why, changes, placement };
  const drift = driftOf(status);
  if (changes.length > 0 || moves) {
    if (changes.length === 0) why.push('it moves to other CPUs');
    // What has to be started anyway is started changed.
    const action = drift?.action === 'start' ? 'replace' : 'change';
    return { name, action, why: [...why, ...(drift?.why ?? [])], changes, placement };
  }
  if (drift !== null) return { name, ...drift, changes, placement };
  if (misplaced !== null) return { name, action: 'repin', why: [misplaced], changes, placement };
  return { name, action: 'keep', why: [], changes, placement };
}

/** How the life of an instance differs from what its definition wants. */
function driftOf(status: InstanceStatus): { action: Action; why: string[] } | null {
  switch (status.state) {
    case 'created':
      return { action: 'start', why: ['it was never started'] };
    case 'paused':
      return { action: 'resume', why: ['it is paused'] };
    case 'stopping':
      return { action: 'start', why: ['it is stopping'] };
    case 'exited':
      // A job that is done stays done; anything else was ended from outside or failed.
      if (status.exit?.reason === 'exit' && status.exit.exitCode === 0) return null;
      return { action: 'start', why: [`it has ended: ${status.exit?.message ?? 'unknown'}`] };
    default:
      return null;
  }
}

/** Steps for kernels and pool; those of one phase in the order in which they are to go. */
function kernelSteps(
  { stack, ledger, resolved }: PlanInput,
  kernels: readonly KernelPlan[],
  mine: ReadonlyMap<string, Observed>,
  { after: pool, change }: Plan['pool'],
): StackStep[] {
  const definitions = new Map(stack.kernels.map((kernel) => [kernel.name, kernel]));
  const of = (...actions: Action[]) => kernels.filter(({ action }) => actions.includes(action));
  const status = (name: string) => mine.get(name)?.status;
  const active = (name: string) => ACTIVE.has(status(name)?.state ?? 'exited');
  const startedAt = (name: string) => status(name)?.startedAt ?? null;
  const replaced = of('replace');
  const steps: StackStep[] = [
    ...of('remove').map(({ name }) => removeInstance(name, stack.name)),
    ...replaced.filter(({ name }) => active(name)).map(({ name }) => stopInstance(name, startedAt(name))),
  ];
  const assigned = of('change', 'replace');
  if (change !== null || assigned.length > 0) {
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
    const isChanged = change !== null;
    steps.push(
      assignPool(
        { pool: isChanged ? pool : null, kernels: after },
        { pool: ledger.pool, kernels: before },
        parts.join('; '),
      ),
    );
  }
  for (const { name, action, placement } of of('change', 'repin')) {
    const isElsewhere = action === 'repin' || !same(partOf(status(name)?.placement ?? null), partOf(placement));
    if (placement !== null && isElsewhere && active(name)) steps.push(repinInstance(name, cpusText(cpusOf(placement))));
  }
  const paused = of('change', 'repin').filter(({ name }) => status(name)?.state === 'paused');
  steps.push(
    ...replaced.map(({ name }) => startInstance(name, startedAt(name))),
    ...of('start').map(({ name, why }) => startInstance(name, startedAt(name), `: ${why[0]}`)),
    ...[...of('resume'), ...paused].map(({ name, why }) => resumeInstance(name, why[0]!)),
    ...of('create').map(({ name, placement }) => {
      const { create, partition, tenant, ...rest } = definitions.get(name)!;
      const request = { ...create, name, start: false, ...(partition && { partition }), ...(tenant && { tenant }) };
      const definition = storedDefinition({ create, partition, tenant, ...rest });
      const where = placement === null ? '' : ` on ${cpusText(cpusOf(placement))}`;
      return createInstance(name, request, { stack: stack.name, definition, placement }, where);
    }),
  );
  return steps;
}

function poolChange(before: Pool | null, after: Pool | null): Plan['pool']['change'] {
  if (after === null || same(before, after)) return null;
  const memory = formatBytes(after.memory.reduce((sum, { bytes }) => sum + bytes, 0));
  const shared = after.sharedCpus.length > 0 ? ` (${formatCpuList(after.sharedCpus)} shared)` : '';
  const devices = after.devices.length > 0 ? `, devices ${after.devices.join(', ')}` : '';
  return { before, text: `${cpusText(after.cpus)}${shared}, ${memory}${devices}` };
}

function adviceInstances({ stack, resolved, accelerator }: PlanInput, others: readonly Observed[]) {
  type Facts = Parameters<typeof advise>[0]['instances'][string];
  const instances: Record<string, Facts> = {};
  const facts = (driver: Facts['driver'], vcpus: number, memoryBytes: number): Facts => ({
    driver,
    accelerator: driver === 'qemu' ? accelerator : null,
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
    const vcpus = partition === null ? (create.cpus ?? 1) : vcpusOf(partition.cpus);
    const wanted = create.driver ?? 'auto';
    const driver = wanted === 'auto' ? (vcpus > 1 ? 'qemu' : 'uml') : wanted;
    const memory =
      partition === null
        ? (create.memoryBytes ?? 0)
        : partition.memory.kind === 'size'
          ? partition.memory.bytes
          : partition.memory.memory.reduce((sum, { bytes }) => sum + bytes, 0);
    instances[name] = facts(driver, vcpus, memory);
  }
  return instances;
}

/** States in which there is a kernel, or one is due. */
const ACTIVE: ReadonlySet<InstanceStatus['state']> = new Set(['starting', 'running', 'paused', 'stopping', 'backoff']);

const cpusOf = ({ partition }: Placement): readonly number[] => partition.shared?.cpus ?? partition.cpus;
const partOf = (placement: Placement | null) => placement && [placement.partition, placement.vcpuCpus];
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
    instances: [],
    channels: [],
    services: [],
    sharedMemory: new Map(),
    resolved: new Map(),
    accelerator: null,
    interrupts: undefined,
  };
  return plan(input).plan;
}
