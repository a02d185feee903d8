/** The kinds of step that change services, and how each is carried out. */
import type { BareStep, Executors, Step } from '../core/step.ts';
import { PolykernelError } from '../sys/errors.ts';
import { resolveService } from './check.ts';
import type { ServiceManager, ServiceRequest, ServiceStatus } from './types.ts';

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

/** Each kind, and what takes it back. */
export type ServiceStep =
  | Step<CreateService, RemoveService>
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
      run: async ({ service }) => void (await services.replace(service)),
      verify: ({ service }) => isAsPlanned(service),
      afterCrash: 'finish',
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
function requestOf({ name, port, bind, mode, balance, check, slo, targets }: ServiceStatus): ServiceRequest {
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
