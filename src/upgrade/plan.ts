/** The steps of an upgrade, from what is: pure. */
import type { CreateRequest, InstanceRecord, InstanceSpec, Placement } from '../instance/contract.ts';
import { createInstance, type InstanceStep, removeInstance } from '../instance/steps.ts';
import type { ServiceStatus } from '../service/contract.ts';
import { changeService, requestOf as requestOfService, type ServiceStep, shiftService } from '../service/steps.ts';
import type { UpgradeRequest } from './requests.ts';
import { exchange, PHASE, prove, type UpgradeStep } from './steps.ts';

/** Instances that serve in place of another one are of this stack, which nobody else can have: by it they are known. */
export const STAND_IN = '(upgrade)';
/** A kernel that comes up and ends at once is seen by then. */
const SETTLE_MS = 1_000;

export type PlannedStep = InstanceStep | ServiceStep | UpgradeStep;

export interface Beside {
  /** What the second kernel is made from. */
  request: CreateRequest & { name: string };
  placement: Placement | null;
}

export type Changes = Pick<UpgradeRequest, 'image' | 'command' | 'root'>;

export interface UpgradeFacts {
  record: Pick<InstanceRecord, 'spec' | 'definition'>;
  /** As it is to be, and what of that is asked for. */
  spec: InstanceSpec;
  changes: Changes;
  runs: boolean;
  /** Those that send it requests. */
  services: readonly ServiceStatus[];
  /** null: there is no second kernel meanwhile. */
  beside: Beside | null;
  watchMs: number;
  drainMs: number;
}

/** `steps`: all or nothing. `cleanup`: what is left to do after them. */
export function planUpgrade(facts: UpgradeFacts): { steps: PlannedStep[]; cleanup: PlannedStep[] } {
  const { record, spec, changes, runs, services, beside, watchMs, drainMs } = facts;
  const { name } = spec;
  const after = { spec, definition: definitionOf(record.definition, changes) };
  const before = { spec: record.spec, definition: record.definition };
  const change = exchange(before, after, whatOf(changes), runs);
  if (!runs) return { steps: [change], cleanup: [] };
  const names = services.map((service) => service.name);
  const stays = `watch ${name} for ${watchMs / 1000} s`;
  if (beside === null) return { steps: [change, prove(name, names, watchMs, stays)], cleanup: [] };
  const other = beside.request.name;
  const part = {
    stack: STAND_IN,
    definition: JSON.stringify({ name: other, create: beside.request }),
    placement: beside.placement,
  };
  const both = services.map((service) => withTarget(service, name, other));
  const where = beside.placement === null ? '' : ` on CPUs ${beside.placement.vcpuCpus.join(', ')}`;
  const { partition, ...request } = beside.request;
  const steps: PlannedStep[] = [
    createInstance(other, { ...request, ...(partition && { partition }) }, part, where),
    prove(other, [], SETTLE_MS, `wait until ${other} is well`),
    ...services.map((service, at) => changeService(both[at]!, service, `${other} beside ${name}`)),
    ...services.map((service) => shiftService(service, name, other, drainMs)),
    prove(other, names, watchMs, `watch ${other} for ${watchMs / 1000} s`),
    change,
    prove(name, [], SETTLE_MS, `wait until ${name} is well`),
    ...services.map((service) => shiftService(service, other, name, drainMs)),
    prove(name, names, watchMs, stays),
  ];
  const cleanup: PlannedStep[] = [
    ...services.map((service, at) => {
      const now = {
        ...service,
        targets: [...service.targets, { ...service.targets[0]!, ...both[at]!.targets.at(-1)! }],
      };
      return changeService(requestOfService(service), now as ServiceStatus, `without ${other}`);
    }),
    removeInstance(other, STAND_IN),
  ];
  return { steps: steps.map(inOrder), cleanup: cleanup.map(inOrder) };
}

/** `image X`, `another command`. */
const whatOf = ({ image, command, root }: Changes): string =>
  [image && `image ${image}`, command && 'another command', root && `root ${root}`].filter(Boolean).join(', ');

/** As given, not by their phases: what one upgrade does goes back and forth. */
function inOrder(step: PlannedStep): PlannedStep {
  const undo = step.undo === null ? null : { ...step.undo, phase: PHASE };
  return { ...step, phase: PHASE, undo } as PlannedStep;
}

/** With a further target that gets nothing yet. */
function withTarget(service: ServiceStatus, name: string, other: string) {
  const request = requestOfService(service);
  const { port } = service.targets.find(({ instance }) => instance === name)!;
  return { ...request, targets: [...request.targets, { instance: other, port, weight: 0 }] };
}

/** So that applying a stack file that says the same finds nothing to do. */
function definitionOf(stored: string | null, changes: Changes): string | null {
  if (stored === null) return null;
  const definition = JSON.parse(stored) as { create: CreateRequest };
  return JSON.stringify({ ...definition, create: { ...definition.create, ...changes } });
}
