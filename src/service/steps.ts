/** The kinds of step that change services, and how each is carried out. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { BareStep, Executors, Step } from '../core/step.ts';
import { PolykernelError } from '../sys/errors.ts';
import { resolveService } from './check.ts';
import type { ServiceManager, ServiceRequest, ServiceStatus } from './types.ts';

/** How long the one may take until it answers, and the other until what it was asked before is answered. */
const ANSWER_MS = 60_000;
const DRAIN_MS = 30_000;
const LOOK_MS = 50;

/** Serves a port of this machine. */
interface CreateService extends BareStep<'service.create'> {
  service: ServiceRequest;
  stack: string;
}

/** Makes a service as planned, while it serves. */
interface ChangeService extends BareStep<'service.change'> {
  service: ServiceRequest;
}

/** Serves a port no more; its connections are cut. */
interface RemoveService extends BareStep<'service.remove'> {}

/** Sends the requests of one target to another, once that is seen to answer; those under way are completed. */
interface ShiftService extends BareStep<'service.shift'> {
  from: string;
  to: string;
  /** Of the one that gets them. */
  weight: number;
  /** How long the other's connections may take to end, in ms; those of earlier versions do not say. */
  drainMs?: number;
}

/** Each kind, and what takes it back. */
export type ServiceStep =
  | Step<CreateService, RemoveService>
  | Step<ShiftService, ShiftService>
  | Step<ChangeService, ChangeService>
  | Step<RemoveService, CreateService>;

const AS_IT_WAS = 'apply the stack file as it was';

export const createService = (service: ServiceRequest, stack: string): ServiceStep => ({
  ...creation(service, stack),
  undo: removal(service.name),
  byHand: `pk service rm ${service.name}`,
});

/** `why`: the first reason. */
export const changeService = (service: ServiceRequest, before: ServiceStatus, why: string): ServiceStep => ({
  ...change(service, why),
  undo: change(requestOf(before), 'as it was'),
  byHand: AS_IT_WAS,
});

export const removeService = (before: ServiceStatus, stack: string): ServiceStep => ({
  ...removal(before.name),
  undo: creation(requestOf(before), stack),
  byHand: AS_IT_WAS,
});

/** Both are targets of it. */
export function shiftService(
  { name, targets }: Pick<ServiceStatus, 'name' | 'targets'>,
  from: string,
  to: string,
  drainMs: number = DRAIN_MS,
): ServiceStep {
  const { weight } = targets.find(({ instance }) => instance === from || instance === to)!;
  const shift = (from: string, to: string): ShiftService => ({
    ...{ kind: 'service.shift', name, phase: 'reroute', from, to, weight, drainMs },
    text: `send what comes to ${name} to ${to} instead of ${from}`,
    also: [`instance ${from}`, `instance ${to}`],
  });
  return { ...shift(from, to), undo: shift(to, from), byHand: `pk service drain ${name} ${to}` };
}

export function serviceExecutors(services: ServiceManager): Executors<ServiceStep> {
  const find = async (name: string) => {
    try {
      return await services.get(name);
    } catch (error) {
      if (error instanceof PolykernelError && error.code === 'not-found') return undefined;
      throw error;
    }
  };
  const isAsPlanned = async (service: ServiceRequest) => {
    const is = await find(service.name);
    return is !== undefined && definitionText(is) === definitionText(resolveService(service));
  };
  return {
    'service.create': {
      async check({ name }) {
        if ((await find(name)) === undefined) return;
        throw new PolykernelError('conflict', `there is a service ${name} already`, {
          field: 'name',
          value: name,
          hint: `Choose another name, or remove it first (pk service rm ${name}).`,
        });
      },
      async run({ service, stack }) {
        if (!(await isAsPlanned(service))) await services.create(service, stack);
      },
      verify: ({ service }) => isAsPlanned(service),
      afterCrash: 'finish',
    },
    'service.change': {
      check: async ({ name }) => void (await services.get(name)),
      run: ({ service }, signal) => replace(services, service, signal),
      verify: ({ service }) => isAsPlanned(service),
      afterCrash: 'finish',
    },
    'service.shift': {
      check: async ({ name }) => void (await services.get(name)),
      run: (step, signal) => shift(services, step, signal),
      async verify({ name, from, to }) {
        const { targets } = await services.get(name);
        const isServing = (instance: string) =>
          targets.some((target) => target.instance === instance && !target.drain && target.weight > 0);
        return isServing(to) && !isServing(from);
      },
      afterCrash: 'undo',
    },
    'service.remove': {
      check: async ({ name }) => void (await services.get(name)),
      async run({ name }) {
        if ((await find(name)) !== undefined) await services.remove(name);
      },
      verify: async ({ name }) => (await find(name)) === undefined,
      afterCrash: 'finish',
    },
  };
}

/** Whether `condition` comes true within `patienceMs`. Rejects with the signal's reason. */
const untilIn =
  (signal: AbortSignal) =>
  async (condition: () => Promise<boolean>, patienceMs: number): Promise<boolean> => {
    for (const deadline = performance.now() + patienceMs; !(await condition()); ) {
      if (performance.now() > deadline) return false;
      await sleep(LOOK_MS, undefined, { signal });
    }
    return true;
  };

/**
 * Targets that it loses finish what they have first, as long as another one answers: the kernels of those may be removed next. What
 * stays for longer is cut with them.
 */
async function replace(services: ServiceManager, service: ServiceRequest, signal: AbortSignal): Promise<void> {
  const { name } = service;
  const stays = new Set(resolveService(service).targets.map(({ instance }) => instance));
  const { targets } = await services.get(name);
  const answers = targets.some(({ instance, state }) => stays.has(instance) && state === 'up');
  const going = targets.filter(({ instance }) => answers && !stays.has(instance));
  // What a person has drained, or a daemon before a crash, stays so.
  const leaving = going.filter(({ drain }) => !drain);
  const drain = async (isDrained: boolean) => {
    for (const { instance } of leaving) await services.change(name, instance, { drain: isDrained });
  };
  const isDone = async () => {
    const now = await services.get(name);
    return now.targets.every(({ instance, inFlight }) => stays.has(instance) || inFlight === 0);
  };
  await drain(true);
  try {
    if (going.length > 0) await untilIn(signal)(isDone, DRAIN_MS);
    await services.replace(service);
  } catch (error) {
    await drain(false).catch(() => {});
    throw error;
  }
}

async function shift(
  services: ServiceManager,
  { name, from, to, weight, drainMs = DRAIN_MS }: Pick<ShiftService, 'name' | 'from' | 'to' | 'weight' | 'drainMs'>,
  signal: AbortSignal,
): Promise<void> {
  const target = async (instance: string) =>
    (await services.get(name)).targets.find((each) => each.instance === instance);
  const until = untilIn(signal);
  const isWell = async () => /^(up|drained)$/.test((await target(to))?.state ?? '');
  const mustCome = async (condition: () => Promise<boolean>) => {
    if (await until(condition, ANSWER_MS)) return;
    const found = await target(to);
    throw new PolykernelError('not-ready', `${to} cannot serve ${name}: ${found?.reason ?? 'it is no target'}`);
  };
  await mustCome(isWell);
  await services.change(name, to, { weight, drain: false });
  // Or nobody would be left.
  await mustCome(async () => (await target(to))?.state === 'up');
  if ((await target(from)) === undefined) return;
  await services.change(name, from, { drain: true });
  // Connections that stay for longer are cut with the kernel.
  await until(async () => (await target(from))?.inFlight === 0, drainMs);
}

const creation = (service: ServiceRequest, stack: string): CreateService => ({
  kind: 'service.create',
  name: service.name,
  phase: 'publish',
  text: `create ${serviceText(service)}`,
  service,
  stack,
});

const change = (service: ServiceRequest, why: string): ChangeService => ({
  kind: 'service.change',
  name: service.name,
  phase: 'reroute',
  text: `change service ${service.name}: ${why}`,
  service,
});

const removal = (name: string): RemoveService => ({
  kind: 'service.remove',
  name,
  phase: 'withdraw',
  text: `remove service ${name}`,
});

function serviceText(service: ServiceRequest): string {
  const { name, bind, port, targets } = resolveService(service);
  return `service ${name} on ${bind}:${port} to ${targets.map((target) => `${target.instance}:${target.port}`).join(', ')}`;
}

type Definition = Pick<ServiceStatus, 'port' | 'bind' | 'mode' | 'balance' | 'check' | 'slo'> & {
  targets: readonly Pick<ServiceStatus['targets'][number], 'instance' | 'port' | 'weight'>[];
};

/** Equal for services that are served alike; what is drained is a person's business. */
const definitionText = ({ port, bind, mode, balance, check, slo, targets }: Definition): string =>
  JSON.stringify([
    ...[port, bind, mode, balance, check, slo.latency?.percentile, slo.latency?.milliseconds, slo.availability],
    targets.map(({ instance, port, weight }) => [instance, port, weight]),
  ]);

/** What would make a service as this one is. */
export function requestOf({ name, port, bind, mode, balance, check, slo, targets }: ServiceStatus): ServiceRequest {
  return {
    ...{ name, port, bind, mode, balance },
    ...(check !== null && { check }),
    slo: {
      ...(slo.latency !== null && { latency: slo.latency }),
      ...(slo.availability !== null && { availability: slo.availability }),
    },
    targets: targets.map(({ instance, port, weight }) => ({ instance, port, weight })),
  };
}
