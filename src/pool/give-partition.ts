/** The part of the pool that an instance is to own. */
import type { BareStep } from '../core/step.ts';
import type { InstanceSpec, Instances, Placement, Provider } from '../instance/contract.ts';
import { assign, free, type Ledger } from '../ledger/index.ts';
import { PolykernelError } from '../sys/errors.ts';
import type { HostPool } from './host-pool.ts';
import { reservedBy } from './steps.ts';

type Planner = typeof import('../ledger/planner.ts');

/** `instances`: who owns what; `underWay`: what is being changed of that. Asked only when something is to be given. */
export const partitionProvider = (
  hostPool: Pick<HostPool, 'topology' | 'housekeepingCpus'>,
  instances: () => Pick<Instances, 'ledger'>,
  underWay: () => readonly BareStep[],
): Provider => {
  /** Most daemons never plan. */
  let planner: Planner | undefined;
  return {
    name: 'its partition',
    async prepare({ spec }) {
      if (spec.partition !== null) planner ??= await import('../ledger/planner.ts');
    },
    reserve({ spec, part }) {
      const ledger = instances().ledger();
      const placement = part === undefined ? placed(spec, hostPool, ledger, underWay(), planner) : part.placement;
      if (placement !== null) assign(ledger, { [spec.name]: placement.partition });
      return { placement };
    },
    async launch({ spec, placement }) {
      const mayGrow = placement !== null && spec.elastic?.cpus != null;
      return {
        housekeepingCpus: hostPool.housekeepingCpus(),
        ...(mayGrow && { spareCpus: free(instances().ledger()).cpus }),
      };
    },
  };
};

/** Where the planner puts one more instance, everything else staying where it is. Throws `conflict` saying why not. */
function placed(
  spec: InstanceSpec,
  hostPool: Pick<HostPool, 'topology'>,
  ledger: Ledger,
  underWay: readonly BareStep[],
  planner: Planner | undefined,
): Placement | null {
  if (spec.partition === null || planner === undefined) return null;
  const { pool, partitions } = ledger;
  if (pool === null) {
    throw new PolykernelError('conflict', `${spec.name} asks for a partition, and there is no pool`, {
      field: 'partition',
      hint: 'Make one: pk pool init --cpus LIST --memory SIZE',
    });
  }
  const { placed, refused } = planner.place({
    topology: hostPool.topology(),
    pool,
    requests: [{ name: spec.name, request: spec.partition, current: null }],
    fixed: { ...partitions, ...reservedBy(ledger, underWay) },
  });
  const [refusal] = refused;
  if (refusal !== undefined) {
    const { field, message, hint } = refusal;
    throw new PolykernelError('conflict', `${spec.name}: ${message}`, { field: `partition.${field}`, hint });
  }
  const { partition, vcpuCpus, reasons } = placed[0]!;
  return { partition, vcpuCpus, reasons };
}
