/** What is to happen to the kernels of a stack, and in which steps. Pure. */
import { cpusText } from '../sys/cpu-list.ts';
import { definitionChanges, type FieldChange, type KernelDefinition, storedDefinition } from './definition.ts';
import type { Observed } from './instances.ts';
import type { InstanceStatus, Placement } from './spec.ts';
import {
  createInstance,
  type InstanceStep,
  removeInstance,
  repinInstance,
  resumeInstance,
  startInstance,
  stopInstance,
} from './steps.ts';

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

export function planKernel(
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
  const moves = placement !== null && !same(placeOf(before), placeOf(placement));
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
    case 'stuck':
      return { action: 'start', why: ['it was ended, and is not proven to be gone'] };
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

/** Those of one phase in the order in which they are to go. */
export function kernelSteps(
  stack: { name: string; kernels: readonly KernelDefinition[] },
  kernels: readonly KernelPlan[],
  mine: ReadonlyMap<string, Observed>,
): InstanceStep[] {
  const definitions = new Map(stack.kernels.map((kernel) => [kernel.name, kernel]));
  const of = (...actions: Action[]) => kernels.filter(({ action }) => actions.includes(action));
  const status = (name: string) => mine.get(name)?.status;
  const active = (name: string) => ACTIVE.has(status(name)?.state ?? 'exited');
  const startedAt = (name: string) => status(name)?.startedAt ?? null;
  const replaced = of('replace');
  const steps: InstanceStep[] = [
    ...of('remove').map(({ name }) => removeInstance(name, stack.name)),
    ...replaced.filter(({ name }) => active(name)).map(({ name }) => stopInstance(name, startedAt(name))),
  ];
  for (const { name, action, placement } of of('change', 'repin')) {
    const isElsewhere = action === 'repin' || !same(placeOf(status(name)?.placement ?? null), placeOf(placement));
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

/** States in which there is a kernel, or one is due. */
export const ACTIVE: ReadonlySet<InstanceStatus['state']> = new Set([
  'starting',
  'running',
  'paused',
  'stopping',
  'stuck',
  'backoff',
]);

/** What of a placement is where an instance is, without the reasons. */
const placeOf = (placement: Placement | null) => placement && [placement.partition, placement.vcpuCpus];

const cpusOf = ({ partition }: Placement): readonly number[] => partition.shared?.cpus ?? partition.cpus;
const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);
