/** What is to happen to the services of a stack. Pure. */
import type { SectionQuestion, SectionRefusal } from '../core/stack-section.ts';
import { type ResolvedService, resolveService, type ServiceRequest, type ServiceStatus } from './contract.ts';
import { changeService, createService, removeService, type ServiceStep } from './steps.ts';

export interface ServicePlan {
  name: string;
  /** `change`: while it serves. */
  action: 'create' | 'change' | 'remove' | 'keep';
  /** Why, one sentence each; for `keep` empty. */
  why: string[];
  /** As it will be; null = it goes. */
  service: ServiceRequest | null;
}

/** The services of `stack`, in the order of the file, then those that go. Names and ports that others have are refused. */
export function planServices(
  { stack, wanted, present, gone }: SectionQuestion<ServiceRequest, ServiceStatus>,
  refused: SectionRefusal[],
): ServicePlan[] {
  const byName = new Map(present.map((service) => [service.name, service]));
  const plans = wanted.map((service): ServicePlan => {
    const { name } = service;
    const is = byName.get(name);
    const resolved = resolveService(service);
    const rival = present.find(
      (each) => each.stack !== stack && each.port === resolved.port && each.bind === resolved.bind,
    );
    if (is !== undefined && is.stack !== stack) refused.push(taken(name, is.stack));
    else if (rival !== undefined) refused.push(portTaken(name, rival));
    if (is === undefined) return { name, action: 'create', why: ['it does not exist'], service };
    const why = changes(is, resolved);
    return { name, action: why.length > 0 ? 'change' : 'keep', why, service };
  });
  const names = new Set(wanted.map(({ name }) => name));
  for (const { name } of present.filter((each) => each.stack === stack && !names.has(each.name)))
    plans.push({ name, action: 'remove', why: [gone], service: null });
  return plans;
}

/** Targets that were drained stay so, and weights that were changed by hand are drift. */
function changes(is: ServiceStatus, wanted: ResolvedService): string[] {
  const plain = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value));
  const why = (['port', 'bind', 'mode', 'balance', 'check'] as const)
    .filter((key) => is[key] !== wanted[key])
    .map((key) => `${key} changes from ${plain(is[key])} to ${plain(wanted[key])}`);
  if (JSON.stringify(is.slo) !== JSON.stringify(wanted.slo)) why.push('its promises change');
  const [before, after] = [is.targets, wanted.targets].map((targets) =>
    targets.map(({ instance, port, weight }) => `${instance}:${port}${weight === 100 ? '' : ` with weight ${weight}`}`),
  ) as [string[], string[]];
  const [gone, come] = [before.filter((each) => !after.includes(each)), after.filter((each) => !before.includes(each))];
  if (come.length > 0) why.push(`${come.join(', ')} ${come.length === 1 ? 'becomes a target' : 'become targets'}`);
  if (gone.length > 0) why.push(`${gone.join(', ')} ${gone.length === 1 ? 'is' : 'are'} no target any more`);
  return why;
}

export function serviceSteps(
  plans: readonly ServicePlan[],
  present: readonly ServiceStatus[],
  stack: string,
): ServiceStep[] {
  const before = new Map(present.map((service) => [service.name, service]));
  return plans.flatMap(({ name, action, why, service }) => {
    if (action === 'keep') return [];
    if (service === null) return [removeService(before.get(name)!, stack)];
    return [action === 'change' ? changeService(service, before.get(name)!, why[0]!) : createService(service, stack)];
  });
}

const taken = (name: string, stack: string | null): SectionRefusal => ({
  name: `service ${name}`,
  field: 'name',
  message: `the name is taken by a service ${stack === null ? 'that no stack owns' : `of the stack ${stack}`}`,
  hint: `Rename it in the file, or remove that one: pk service rm ${name}`,
});

const portTaken = (name: string, rival: ServiceStatus): SectionRefusal => ({
  name: `service ${name}`,
  field: 'port',
  message: `port ${rival.port} is that of the service ${rival.name}`,
  hint: `Choose another port, or remove that service: pk service rm ${rival.name}`,
});
