/** What of PCI functions a plan has to refuse: those that are not there, and those that others have. */
import { functionsOf, type KernelDefinition } from '../instance/contract.ts';
import type { KernelPlan } from '../instance/stack.ts';
import type { Pool, Refused } from '../ledger/index.ts';
import {
  chooseFunction,
  type DeviceWish,
  deviceWish,
  isVirtual,
  type LeasedFunction,
  noneFree,
} from '../sriov/contract.ts';
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
  const taking = definitions.filter(({ name }) => takes.has(name));
  const refused = taking.flatMap(({ name, create }) =>
    functionsOf(create).flatMap(({ field, address }) => {
      const why = obstacle(name, address);
      return why === undefined ? [] : [{ name, field, ...why }];
    }),
  );
  return [...refused, ...refuseKinds(taking, seen, isLetGo)];
}

type VirtualWish = Extract<DeviceWish, { kind: 'virtual' }>;

/** Wishes for any virtual function of a kind for which none is left, after those by address and those before. */
function refuseKinds(
  taking: readonly KernelDefinition[],
  { topology: { pci }, pool, leases }: FunctionsSeen,
  isLetGo: (owner: string, address: string) => boolean,
): Refused[] {
  const wishes = taking.flatMap(({ name, create: { devices = [] } }) =>
    devices.flatMap((text, index) => {
      const field = `devices[${index}]`;
      const wish = deviceWish(text, field);
      return wish.kind === 'virtual' ? [{ name, field, wish }] : [];
    }),
  );
  if (wishes.length === 0) return [];
  const leased = new Map(leases.map((lease) => [lease.address, lease]));
  const holders = new Map<string, string>();
  for (const { address, hostUse } of pci)
    if (hostUse !== null && !leased.has(address)) holders.set(address, `the host (${hostUse})`);
  for (const address of pool?.devices ?? []) holders.set(address, 'the pool');
  for (const { name, create } of taking) for (const { address } of functionsOf(create)) holders.set(address, name);
  /** What a kernel leases already and keeps. */
  const own = new Map<string, string>();
  for (const { address, owner, state } of leased.values()) {
    if (state === 'leased' && isLetGo(owner, address)) continue;
    const isTakers = state === 'leased' && taking.some(({ name }) => name === owner);
    (isTakers ? own : holders).set(address, owner);
  }
  const count = ({ of }: VirtualWish) => pci.filter((each) => isVirtual(each, of)).length;
  // Kinds lie in one another or are apart: with the narrowest first none is refused that could be had.
  return wishes
    .toSorted((a, b) => count(a.wish) - count(b.wish))
    .flatMap(({ name, field, wish }) => {
      const mine = pci.filter(({ address }) => own.get(address) === name);
      const free = pci.filter(({ address }) => !holders.has(address) && !own.has(address));
      const found = chooseFunction(wish, mine, []) ?? chooseFunction(wish, free, []);
      if (found === undefined)
        return [{ name, field, ...noneFree(wish.of, pci, (each) => holders.get(each) ?? own.get(each) ?? 'nobody') }];
      own.delete(found.address);
      holders.set(found.address, name);
      return [];
    });
}

const stateOf = ({ state, owner, reason }: LeasedFunction): string =>
  ({
    leased: `it is leased to ${owner}`,
    returning: `it is being reset after ${owner} had it`,
    failed: `after ${owner} had it, it could not be reset (${reason})`,
  })[state];
