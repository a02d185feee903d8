/**
 * Whose PCI functions are. A function is one owner's, or nobody's; it is reset after each, before the next. What is not known to be
 * reset is given to nobody.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Records } from '../core/table.ts';
import { PolykernelError } from '../sys/errors.ts';
import {
  type BindingOptions,
  bindVfio,
  checkVfio,
  groupMembers,
  reset,
  takeFromVfio,
  unbindVfio,
  VFIO,
} from './binding.ts';
import type { DeviceWish } from './choose.ts';
import type { LeasedFunction } from './contract.ts';
import { noFunction } from './counts.ts';
import { type SeenFunction, seeFunction, virtualFunctions } from './functions.ts';
import { type RunIp, readNetwork, type Virtual, writeNetwork } from './network.ts';
import type { NetworkSettings } from './network-settings.ts';
import type { LeaseRecord } from './record.ts';

export interface LeasesOptions extends BindingOptions {
  ip: RunIp;
  records: Records<LeaseRecord>;
  /** Who else has functions, by their addresses: the host for what it needs itself, instances by their partitions. */
  others(): ReadonlyMap<string, string>;
  takeMachine(): void;
}

/** The owner of a function. */
export interface Tenant {
  instance: string;
  name: string;
}

const BRIDGES = 0x06;

/**
 * INVARIANTS
 * - A lease is on record before its function is touched, and until it is reset.
 * - Nothing is awaited between the look for a free function and its record.
 */
export class Leases {
  readonly #options: LeasesOptions;
  readonly #records = new Map<string, LeaseRecord>();
  /** Being reset, by address. */
  readonly #returning = new Map<string, Promise<void>>();

  constructor(options: LeasesOptions) {
    this.#options = options;
  }

  load(complain: (id: string, name: string, error: unknown) => void): void {
    for (const record of this.#options.records.all(complain)) this.#records.set(record.id, record);
  }

  /** Undefined when it is nobody's. */
  of(address: string): LeasedFunction | undefined {
    const record = this.#records.get(address);
    return record === undefined || record.state === 'free' ? undefined : shown(record, record.state);
  }

  all(): LeasedFunction[] {
    return [...this.#records.values()].flatMap((record) =>
      record.state === 'free' ? [] : [shown(record, record.state)],
    );
  }

  /** Those of one instance. */
  ofInstance(instance: string): LeasedFunction[] {
    return this.all().filter((lease) => lease.instance === instance && lease.state === 'leased');
  }

  /** Whether a leased function has the name and the settings of a wish. */
  isAsWished(address: string, { name, network }: Pick<DeviceWish, 'name' | 'network'>): boolean {
    const record = this.#records.get(address);
    return record?.name === name && isDeepStrictEqual(record.network, network);
  }

  /** Throws `conflict` when one of these is somebody's, naming whose. One that could not be reset is nobody's. */
  checkUnused(physicalFunction: string, virtual: readonly string[]): void {
    const others = this.others();
    const used = virtual.flatMap((address) => {
      const lease = this.of(address);
      if (lease !== undefined && lease.state !== 'failed') return [`${address} by ${lease.owner}`];
      return others.has(address) ? [`${address} by ${others.get(address)}`] : [];
    });
    if (used.length === 0) return;
    const more = used.length > 4 ? ` and ${used.length - 4} more` : '';
    throw new PolykernelError(
      'conflict',
      `virtual functions of ${physicalFunction} are in use: ${used.slice(0, 4).join(', ')}${more}`,
      {
        field: '--vfs',
        value: physicalFunction,
        hint: 'Their number can only change for all at once. Release these first: pk sriov release VF',
      },
    );
  }

  /**
   * Writes down that `seen` is `tenant`'s, whose it may be already. Throws `conflict` when it is somebody else's or the host's, and
   * `unsupported` for what is never given away.
   */
  take(
    seen: SeenFunction,
    index: number | null,
    tenant: Tenant,
    { name, network }: Pick<DeviceWish, 'name' | 'network'>,
    others = this.others(),
  ): LeasedFunction {
    const { address } = seen;
    const before = this.#records.get(address);
    if (before?.state === 'leased' && before.instance === tenant.instance) return shown(before, before.state);
    this.checkFree(seen, others, tenant.name);
    this.#options.takeMachine();
    const record: LeaseRecord = {
      id: address,
      physicalFunction: seen.physicalFunction,
      index,
      instance: tenant.instance,
      owner: tenant.name,
      name,
      ...{ network, networkBefore: null },
      generation: (before?.generation ?? 0) + 1,
      state: 'leased',
      reason: null,
      driver: seen.driver === VFIO ? (before?.driver ?? null) : seen.driver,
    };
    this.#put(record);
    return shown(record, 'leased');
  }

  /** Who has functions without a lease; to be looked at once for many. */
  others(): ReadonlyMap<string, string> {
    return this.#options.others();
  }

  /** Throws as take() does. `tenant`: who may have it by his partition. */
  checkFree(seen: SeenFunction, others = this.others(), tenant?: string): void {
    const { address } = seen;
    const lease = this.of(address);
    if (lease !== undefined) throw taken(address, whose(lease));
    const other = others.get(address);
    if (other !== undefined && other !== tenant) throw taken(address, `it is in use by ${other}`);
    if (seen.class >> 16 === BRIDGES) throw never(address, 'it is a bridge');
  }

  /**
   * Has a leased function ready to be given to a kernel: as the kernel says it is the one that was leased, its IOMMU group is all
   * the owner's, and vfio-pci has it. Resolves with its group. Rejects with `unavailable`, `conflict`, `unsupported`.
   */
  async ready(address: string): Promise<number> {
    const { sysfs } = this.#options;
    const { seen, lease } = await this.#leased(address);
    await checkVfio(sysfs);
    if (seen.iommuGroup === null) throw never(address, 'it is in no IOMMU group');
    for (const other of await groupMembers(sysfs, seen.iommuGroup)) {
      if (other === address || this.of(other)?.instance === lease.instance) continue;
      const member = await seeFunction(sysfs, other);
      if (member === undefined || member.class >> 16 === BRIDGES) continue;
      throw new PolykernelError(
        'unsupported',
        `${address} cannot be told apart from ${other} by the IOMMU (group ${seen.iommuGroup}): they can only go together`,
        { field: 'device', value: address, hint: `Give both: --device ${address} --device ${other}` },
      );
    }
    // What it is given back to, as it is now.
    if (seen.driver !== VFIO && seen.driver !== lease.driver) this.#put({ ...lease, driver: seen.driver });
    // A driver that finds another address than it had would have to be told.
    if (lease.network !== null) await this.setNetwork(address, lease.network);
    await bindVfio(address, this.#options);
    return seen.iommuGroup;
  }

  /** The same for a kernel that gives it away itself: no IOMMU is asked, and what drives it here stays until then. */
  async readyForHost(address: string): Promise<void> {
    const { seen, lease } = await this.#leased(address);
    if (seen.driver !== VFIO && seen.driver !== lease.driver) this.#put({ ...lease, driver: seen.driver });
    if (lease.network !== null) await this.setNetwork(address, lease.network);
    if (seen.driver === VFIO) await unbindVfio(address, null, this.#options);
  }

  /** What was leased, if it is still what it was. */
  async #leased(address: string): Promise<{ seen: SeenFunction; lease: LeaseRecord }> {
    const { sysfs } = this.#options;
    const lease = this.#records.get(address);
    const seen = await seeFunction(sysfs, address);
    if (seen === undefined || lease === undefined) throw noFunction(address);
    if (lease.physicalFunction !== seen.physicalFunction) throw taken(address, 'another function has its address now');
    if (lease.physicalFunction !== null && lease.index !== null) {
      const now = (await virtualFunctions(sysfs, lease.physicalFunction)).get(lease.index);
      if (now !== address)
        throw taken(address, `virtual function ${lease.index} of ${lease.physicalFunction} is ${now ?? 'gone'}`);
    }
    if (seen.physicalFunction === null && (await virtualFunctions(sysfs, address)).size > 0)
      throw never(address, 'it has virtual functions, which end with it');
    return { seen, lease };
  }

  /** What the network of a leased virtual function is now. Rejects as readNetwork(). */
  network(address: string): Promise<NetworkSettings> {
    const { sysfs, ip } = this.#options;
    return readNetwork(sysfs, ip, this.#virtual(address));
  }

  /** Has it otherwise, also for later kernels of the owner; on return it is what it was before the first time. Rejects as writeNetwork(). */
  async setNetwork(address: string, wanted: NetworkSettings): Promise<void> {
    const { sysfs, ip } = this.#options;
    const of = this.#virtual(address);
    const before = this.#records.get(address)!;
    // On record before it is so: what a crash leaves is put back too.
    if (before.networkBefore === null) this.#put({ ...before, networkBefore: await readNetwork(sysfs, ip, of) });
    await writeNetwork(sysfs, ip, of, wanted);
    const now = this.#records.get(address)!;
    this.#put({ ...now, network: { ...now.network, ...wanted } });
  }

  #virtual(address: string): Virtual {
    const { physicalFunction = null, index = null } = this.#records.get(address) ?? {};
    if (physicalFunction !== null && index !== null && this.of(address)?.state === 'leased')
      return { physicalFunction, index };
    throw new PolykernelError('not-found', `${address} is no virtual function that somebody has`, {
      field: 'device',
      value: address,
      hint: 'Network settings are of a lease: `pk sriov ls` shows whose each is.',
    });
  }

  /**
   * Takes a function back that nobody's kernel has any more: reset first, then free, with the driver it had. Rejects with
   * `unavailable` when it cannot be reset: then it stays nobody's until a later call resets it.
   */
  async giveBack(address: string): Promise<void> {
    const under = this.#returning.get(address);
    if (under !== undefined) return under;
    const record = this.#records.get(address);
    if (record === undefined || record.state === 'free') return;
    const work = this.#return(record).finally(() => this.#returning.delete(address));
    this.#returning.set(address, work);
    return work;
  }

  /** Whether giveBack() is at it. */
  isReturning(address: string): boolean {
    return this.#returning.has(address);
  }

  /** Those whose virtual functions were taken away, which no reset surpasses. */
  forget(addresses: Iterable<string>): void {
    for (const address of addresses) {
      const record = this.#records.get(address);
      if (record !== undefined && record.state !== 'free') this.#put(freed(record));
    }
  }

  /** Resolves when nothing is being reset. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#returning.values());
  }

  async #return(record: LeaseRecord): Promise<void> {
    const { id: address, driver } = record;
    this.#put({ ...record, state: 'returning' });
    try {
      // One that is gone comes back, if ever, as it is after power-on.
      if ((await seeFunction(this.#options.sysfs, address)) !== undefined) {
        await takeFromVfio(address, this.#options);
        await reset(address, this.#options);
        await this.#restoreNetwork(record);
        await unbindVfio(address, driver, this.#options);
      }
      this.#put(freed(record));
    } catch (error) {
      this.#put({ ...record, state: 'failed', reason: (error as Error).message });
      throw error;
    }
  }

  /** As it was before anybody set it: the next owner is not to have the last one's address. */
  async #restoreNetwork({ physicalFunction, index, networkBefore }: LeaseRecord): Promise<void> {
    if (networkBefore === null || physicalFunction === null || index === null) return;
    const { sysfs, ip } = this.#options;
    await writeNetwork(sysfs, ip, { physicalFunction, index }, networkBefore);
  }

  #put(record: LeaseRecord): void {
    this.#options.records.put(record);
    this.#records.set(record.id, record);
  }
}

const freed = (record: LeaseRecord): LeaseRecord => ({
  ...record,
  state: 'free',
  instance: null,
  owner: '',
  name: null,
  reason: null,
  driver: null,
  network: null,
  networkBefore: null,
});

const shown = (record: LeaseRecord, state: LeasedFunction['state']): LeasedFunction => ({
  address: record.id,
  physicalFunction: record.physicalFunction,
  owner: record.owner,
  instance: record.instance ?? '',
  name: record.name,
  generation: record.generation,
  state,
  reason: record.reason,
});

const whose = ({ owner, state, reason }: LeasedFunction): string =>
  state === 'leased'
    ? `it is ${owner}'s`
    : state === 'returning'
      ? `it is being reset after ${owner} had it`
      : `after ${owner} had it, it could not be reset (${reason})`;

const taken = (address: string, why: string): PolykernelError =>
  new PolykernelError('conflict', `${address} cannot be had: ${why}`, {
    field: 'device',
    value: address,
    hint: '`pk sriov ls` shows whose each is.',
  });

const never = (address: string, why: string): PolykernelError =>
  new PolykernelError('unsupported', `${address} is never given away: ${why}`, { field: 'device', value: address });
