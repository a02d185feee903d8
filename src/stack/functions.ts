/** What of PCI functions a plan has to refuse: those that are not there, and those that others have. */
import { functionsOf, type KernelDefinition } from '../instance/contract.ts';
import type { KernelPlan } from '../instance/stack.ts';
import type { Pool, Refused } from '../ledger/index.ts';
import type { LeasedFunction } from '../sriov/contract.ts';
import type { Topology } from '../topology/index.ts';

export interface FunctionsSeen {
  topology: Topology;
  pool: Pool | null;
  leases: readonly LeasedFunction[];
}

/** What takes its functions anew. Of a kernel that stays as it is they are its own: what became of them is advice. */
const TAKES: ReadonlySet<KernelPlan['action']> = new Set(['create', 'replace', 'start']);

/** Names of kernels that stay, with the functions of each. */
export function functionsThatStay(
  definitions: readonly KernelDefinition[],
  plans: readonly KernelPlan[],
): Map<string, string[]> {
  const stays = new Set(plans.filter(({ action }) => !TAKES.has(action)).map(({ name }) => name));
  return new Map(
    definitions
      .filter(({ name }) => stays.has(name))
      .map(({ name, create }) => [name, functionsOf(create).map(({ address }) => address)]),
  );
}

export function refuseFunctions(
  definitions: readonly KernelDefinition[],
  plans: readonly KernelPlan[],
  seen: FunctionsSeen,
): Refused[] {
  const there = new Map(seen.topology.pci.map((each) => [each.address, each]));
  const leases = new Map(seen.leases.map((lease) => [lease.address, lease]));
  const takes = new Set(plans.filter(({ action }) => TAKES.has(action)).map(({ name }) => name));
  /** Whether the plan takes it from `owner` before anybody else asks for it. */
  const isLetGo = (owner: string, address: string): boolean => {
    const plan = plans.find(({ name }) => name === owner);
    if (plan?.action === 'remove') return true;
    const definition = definitions.find(({ name }) => name === owner);
    if (plan?.action !== 'replace' || definition === undefined) return false;
    return !functionsOf(definition.create).some((each) => each.address === address);
  };
  const obstacle = (name: string, address: string): Pick<Refused, 'message' | 'hint'> | undefined => {
    const found = there.get(address);
    if (found === undefined)
      return {
        message: `there is no PCI function ${address}`,
        hint: '`pk pci ls` lists them; virtual ones are made by `pk sriov enable`.',
      };
    const lease = leases.get(address);
    if (lease !== undefined) {
      if (lease.state === 'leased' && (lease.owner === name || isLetGo(lease.owner, address))) return undefined;
      return { message: `${address} cannot be had: ${stateOf(lease)}`, hint: '`pk sriov ls` shows whose each is.' };
    }
    if (seen.pool?.devices.includes(address))
      return {
        message: `${address} is the pool's`,
        hint: 'Own it by partition.devices, or take it out of the pool: pk pool shrink --device.',
      };
    if (found.hostUse === null) return undefined;
    return { message: `${address} is in use by the host: ${found.hostUse}`, hint: 'Choose another function.' };
  };
  return definitions
    .filter(({ name }) => takes.has(name))
    .flatMap(({ name, create }) =>
      functionsOf(create).flatMap(({ field, address }) => {
        const why = obstacle(name, address);
        return why === undefined ? [] : [{ name, field, ...why }];
      }),
    );
}

const stateOf = ({ state, owner, reason }: LeasedFunction): string =>
  ({
    leased: `it is leased to ${owner}`,
    returning: `it is being reset after ${owner} had it`,
    failed: `after ${owner} had it, it could not be reset (${reason})`,
  })[state];
