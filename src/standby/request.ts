/** What a standby is made from: pure. */
import { type CreateRequest, type InstanceSpec, type Placement, requestOf } from '../instance/contract.ts';
import { standbyName } from './phases.ts';

/** The same kernel and workload, without what one alone can have: published ports and the host name; and it stands by for nobody. */
export function standbyRequest(spec: InstanceSpec): CreateRequest & { name: string } {
  const { publish: _, partition: __, ...request } = requestOf(spec);
  const name = standbyName(spec.name);
  const { cpus, memoryBytes } = spec;
  const alone = { restart: 'no', heal: 'no' as const, standby: false, dependsOn: [] };
  return { ...request, name, hostname: name, cpus, memoryBytes, ...alone };
}

/** As much memory, and no CPU. */
export const memoryAlone = (placement: Placement | null): Placement | null =>
  placement && {
    partition: { ...placement.partition, cpus: [], shared: null, devices: [] },
    vcpuCpus: [],
    reasons: ['it stands by: memory alone, and CPUs while it serves'],
  };
