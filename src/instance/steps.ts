/** The kinds of step that change instances, and how each is carried out. */
import type { BareStep, Executors, Step } from '../core/step.ts';
import type { KernelSize } from '../driver/index.ts';
import type { Partition, PartitionRequest } from '../ledger/index.ts';
import { PolykernelError } from '../sys/errors.ts';
import { formatBytes } from '../sys/units.ts';
import type { Instance } from './instance.ts';
import type { Instances, StackPart } from './instances.ts';
import type { CreateRequest } from './schema.ts';
import { checkSize, kernelSize, sizeOf } from './size.ts';
import type { Size } from './spec.ts';

/** What an instance is created from. */
type Creation = Omit<CreateRequest, 'partition'> & { partition?: PartitionRequest };

/** Makes an instance and starts it. */
interface CreateInstance extends BareStep<'instance.create'> {
  request: Creation;
  part: StackPart;
}

/** Takes an instance away for good. */
interface RemoveInstance extends BareStep<'instance.remove'> {
  /** The stack it belongs to: one of another stack stays. */
  stack: string;
}

interface StopInstance extends BareStep<'instance.stop'> {}

interface StartInstance extends BareStep<'instance.start'> {
  /** When it was last started before. */
  before: string | null;
}

/** Starts one again that ended, and waits for that by its policy. */
interface RestartInstance extends BareStep<'instance.restart'> {}

/** Ends one that is not well, so that it is restarted. */
interface HealInstance extends BareStep<'instance.heal'> {
  reason: 'hung' | 'unhealthy';
  message: string;
  /** Of the kernel that was seen so. */
  startedAt: string | null;
}

interface PauseInstance extends BareStep<'instance.pause'> {}
interface ResumeInstance extends BareStep<'instance.resume'> {}

/** Gives a kernel another size within its bounds: CPUs and memory that it is to have from now on, whether it runs or not. */
interface ResizeInstance extends BareStep<'instance.resize'> {
  size: Size;
  /** CPUs of the host that it still has when it was made smaller, in vCPU order; null = it owns none, or has all it is given. */
  vcpuCpus: readonly number[] | null;
  /** All of it that is another than before; absent: both are, or may be. */
  part?: keyof Size;
}

/** Moves a running kernel to the CPUs that its instance owns now. */
interface RepinInstance extends BareStep<'instance.repin'> {}

/**
 * Each kind, and what takes it back. A repin follows what is recorded: what takes the record back takes it back too, and
 * the repin again.
 */
export type InstanceStep =
  | Step<CreateInstance, RemoveInstance>
  | Step<RemoveInstance, null>
  | Step<StopInstance, StartInstance>
  | Step<StartInstance, StopInstance>
  | Step<RestartInstance, StopInstance>
  | Step<HealInstance, StartInstance>
  | Step<ResumeInstance, PauseInstance>
  | Step<ResizeInstance, ResizeInstance>
  | Step<RepinInstance, RepinInstance>;

/** `where`: ` on CPU 2`, or nothing. */
export const createInstance = (name: string, request: Creation, part: StackPart, where: string): InstanceStep => ({
  kind: 'instance.create',
  name,
  phase: 'create',
  text: `create and start ${name}${where}`,
  request,
  part,
  ...(part.placement !== null && { uses: ['pool pool'] }),
  undo: removal(name, part.stack),
  byHand: `pk rm -f ${name}`,
});

export const removeInstance = (name: string, stack: string): InstanceStep => ({
  ...removal(name, stack),
  undo: null,
  byHand: 'none: apply the stack file it was in',
});

/** `startedAt`: of the start that is ended. */
export const stopInstance = (name: string, startedAt: string | null): InstanceStep => ({
  ...stop(name),
  undo: start(name, startedAt, ''),
  byHand: `pk start ${name}`,
});

/** `startedAt`: of the start before; `why`: `: it has ended`, or nothing. */
export const startInstance = (name: string, startedAt: string | null, why = ''): InstanceStep => ({
  ...start(name, startedAt, why),
  undo: stop(name),
  byHand: `pk stop ${name}`,
});

export const restartInstance = (name: string, why: string): InstanceStep => ({
  kind: 'instance.restart',
  name,
  phase: 'start',
  text: `restart ${name}: ${why}`,
  undo: stop(name),
  byHand: `pk stop ${name}`,
});

/** `startedAt`: of the kernel that was seen so; another one is left alone. */
export const healInstance = (
  name: string,
  { reason, message, startedAt }: Pick<HealInstance, 'reason' | 'message' | 'startedAt'>,
): InstanceStep => ({
  kind: 'instance.heal',
  name,
  phase: 'halt',
  text: `end ${name}, which is ${reason}`,
  ...{ reason, message, startedAt },
  undo: start(name, startedAt, ''),
  byHand: `pk start ${name}`,
});

export const resumeInstance = (name: string, why: string): InstanceStep => ({
  kind: 'instance.resume',
  name,
  phase: 'resume',
  text: `resume ${name}: ${why}`,
  undo: { kind: 'instance.pause', name, phase: 'halt', text: `pause ${name}` },
  byHand: `pk pause ${name}`,
});

/** `where`: `CPU 2`. */
export const repinInstance = (name: string, where: string): InstanceStep => {
  const step = { kind: 'instance.repin', name, phase: 'move' } as const;
  const undo: RepinInstance = { ...step, text: `move ${name} to the CPUs it owns` };
  return { ...step, text: `move ${name} to ${where}`, undo, byHand: 'apply the stack file as it was' };
};

/**
 * `before`: its size now. `vcpuCpus`: CPUs of the host that it owns before and after, in vCPU order; null without a partition. What is given up goes out before anybody else owns it, what is gained
 * comes in after.
 */
export const resizeInstance = (
  name: string,
  before: Size,
  size: Size,
  vcpuCpus: { before: readonly number[]; after: readonly number[] } | null = null,
): InstanceStep => {
  const to = (target: Size, other: Size, left: readonly number[] | null) => ({
    kind: 'instance.resize' as const,
    name,
    phase: isSmaller(target, other) ? ('shrink' as const) : ('grow' as const),
    text: `${isSmaller(target, other) ? 'shrink' : 'grow'} ${name} to ${sizeText(target, other)}`,
    size: target,
    vcpuCpus: isSmaller(target, other) ? left : null,
    ...partOf(target, other),
  });
  return {
    ...to(size, before, vcpuCpus?.after ?? null),
    undo: to(before, size, vcpuCpus?.before ?? null),
    byHand: `pk update ${name} --cpus ${before.cpus} --memory ${before.memoryBytes / 2 ** 20}M`,
  };
};

const isSmaller = (size: Size, before: Size): boolean =>
  size.cpus < before.cpus || size.memoryBytes < before.memoryBytes;

/** Of one that does not run nothing is to be seen. */
function isThere(now: KernelSize | null, size: Size, part: ResizeInstance['part']): boolean {
  const wanted = kernelSize(size);
  return now === null || (part === undefined ? same(now, wanted) : now[part] === wanted[part]);
}

function partOf(size: Size, before: Size): Pick<ResizeInstance, 'part'> {
  if (size.cpus === before.cpus) return { part: 'memoryBytes' };
  return size.memoryBytes === before.memoryBytes ? { part: 'cpus' } : {};
}

/** What is another than before: `2 CPUs`, `512 MiB`. */
function sizeText(size: Size, before: Size): string {
  const parts = [
    ...(size.cpus === before.cpus ? [] : [`${size.cpus} ${size.cpus === 1 ? 'CPU' : 'CPUs'}`]),
    ...(size.memoryBytes === before.memoryBytes ? [] : [formatBytes(size.memoryBytes)]),
  ];
  return parts.join(' and ');
}

/** What of the pool an instance is to own by a step; null = it makes none that does. */
export const partitionBy = (step: BareStep): Partition | null =>
  step.kind === 'instance.create' ? ((step as CreateInstance).part.placement?.partition ?? null) : null;

export function instanceExecutors(instances: Instances): Executors<InstanceStep> {
  const exists = ({ name }: BareStep) => void instances.get(name);
  /** Throws `conflict` for one that is not as the step made it: it is somebody else's. */
  const ofStack = (name: string, stack: string): Instance | undefined => {
    const instance = instances.find(name);
    if (instance === undefined || instance.record.spec.stack === stack) return instance;
    throw taken(name);
  };
  return {
    'instance.create': {
      check({ name }) {
        if (instances.find(name) !== undefined) throw taken(name);
      },
      async run({ name, request, part }, signal) {
        const instance = ofStack(name, part.stack) ?? (await instances.create(request, part));
        if (instance.record.startedAt === null) await instance.start(signal);
      },
      verify({ name, part }) {
        const record = instances.find(name)?.record;
        return record?.spec.stack === part.stack && record.definition === part.definition && record.startedAt !== null;
      },
      afterCrash: 'finish',
    },
    'instance.remove': {
      check: exists,
      async run({ name, stack }) {
        if (ofStack(name, stack) !== undefined) await instances.remove(name, true);
      },
      verify: ({ name, stack }) => instances.find(name)?.record.spec.stack !== stack,
      afterCrash: 'finish',
    },
    'instance.stop': {
      check: exists,
      run: ({ name }) => instances.get(name).stop(),
      verify: ({ name }) => !instances.get(name).active,
      // It was to be started again after steps that did not come: what ran is to run.
      afterCrash: 'undo',
    },
    'instance.start': {
      check: exists,
      async run({ name }, signal) {
        const instance = instances.get(name);
        if (instance.state === 'stopping') await instance.untilDown(signal);
        await instance.start(signal);
      },
      verify({ name, before }) {
        const { active, state, record } = instances.get(name);
        return (active && state !== 'stopping') || record.startedAt !== before;
      },
      afterCrash: 'finish',
    },
    'instance.restart': {
      check({ name }) {
        if (instances.get(name).state !== 'backoff') throw notAsSeen(name);
      },
      run: async ({ name }) => instances.get(name).restart(),
      verify: ({ name }) => instances.get(name).state !== 'backoff',
      afterCrash: 'finish',
    },
    'instance.heal': {
      check({ name, startedAt }) {
        const { state, record } = instances.get(name);
        if (state !== 'running' || record.startedAt !== startedAt) throw notAsSeen(name);
      },
      run: ({ name, reason, message }) => instances.get(name).heal(reason, message),
      verify({ name, startedAt }) {
        const { active, record } = instances.get(name);
        return !active || record.startedAt !== startedAt;
      },
      afterCrash: 'undo',
    },
    'instance.pause': {
      check: exists,
      run: ({ name }) => instances.get(name).pause(),
      verify: ({ name }) => instances.get(name).state !== 'running',
      afterCrash: 'finish',
    },
    'instance.resume': {
      check: exists,
      run: ({ name }) => instances.get(name).resume(),
      verify: ({ name }) => instances.get(name).state !== 'paused',
      afterCrash: 'finish',
    },
    'instance.resize': {
      async check({ name, size }) {
        const instance = instances.get(name);
        checkSize(name, instance.record.spec, size);
        // Throws where nothing could hold it to another share.
        await instance.holdsShare();
      },
      async run({ name, size, vcpuCpus, part }) {
        await instances.update(new Map([[name, { size }]]), null);
        const now = await instances.resize(name, vcpuCpus, part);
        return isThere(now, size, part) && (await instances.get(name).holdsShare());
      },
      async verify({ name, size, part }) {
        const instance = instances.get(name);
        if (!same(sizeOf(instance.record), size)) return false;
        const now = await instance.sizeNow(part);
        return isThere(now, size, part) && (await instance.holdsShare());
      },
      afterCrash: 'finish',
    },
    'instance.repin': {
      check: exists,
      run: ({ name }) => instances.repin(name),
      async verify({ name }) {
        const instance = instances.get(name);
        await instance.takenOver();
        return (await instance.misplaced()) === null;
      },
      afterCrash: 'finish',
    },
  };
}

const same = (one: Size, other: Size): boolean => one.cpus === other.cpus && one.memoryBytes === other.memoryBytes;

const removal = (name: string, stack: string): RemoveInstance => ({
  kind: 'instance.remove',
  name,
  phase: 'remove',
  text: `remove ${name}`,
  stack,
});

const stop = (name: string): StopInstance => ({ kind: 'instance.stop', name, phase: 'halt', text: `stop ${name}` });

const start = (name: string, before: string | null, why: string): StartInstance => ({
  kind: 'instance.start',
  name,
  phase: 'start',
  text: `start ${name}${why}`,
  before,
});

const notAsSeen = (name: string): PolykernelError =>
  new PolykernelError('conflict', `${name} is not as it was when its healing was planned`, {
    field: 'name',
    value: name,
  });

const taken = (name: string): PolykernelError =>
  new PolykernelError('conflict', `the name ${name} is taken`, {
    field: 'name',
    value: name,
    hint: `Choose another one, or remove it: pk rm -f ${name}`,
  });
