/** PCI functions that can be given to instances: how many virtual ones there are, and whose each is. */
import type { EventLog } from '../core/events.ts';
import type { Journal } from '../core/journal.ts';
import type { Capabilities, PassedFunction } from '../driver/index.ts';
import type { Instances } from '../instance/contract.ts';
import { type Clock, timestamp } from '../sys/clock.ts';
import { PolykernelError } from '../sys/errors.ts';
import { normalizePciAddress } from '../topology/pci-address.ts';
import { checkSettings, chooseFunction, type DeviceWish, deviceWish, noneFree } from './choose.ts';
import type { AssignedFunction, CountReport, FunctionsReport, LeasedFunction, PlannedChange } from './contract.ts';
import { type Counts, noFunction } from './counts.ts';
import type { SriovEvent } from './events.ts';
import { DEVICES, type SeenFunction, seeAll, virtualFunctions } from './functions.ts';
import type { Leases, Tenant } from './leases.ts';
import { functionsReport } from './report.ts';
import { siblingsLeft, splitWarning } from './siblings.ts';
import type { FunctionActs } from './steps.ts';
import type { Sysfs } from './sysfs.ts';

interface FunctionsOptions {
  sysfs: Sysfs;
  counts: Counts;
  leases: Leases;
  instances(): Pick<Instances, 'find' | 'get'>;
  events: EventLog;
  clock: Clock;
  journal: Journal;
  /** Called when something was told. */
  changed(): void;
  /** Called when nothing is wanted and nothing leased. */
  dropMachine(): void;
}

/** All functions at one moment, from which several may be chosen. */
export interface Choice {
  seen: ReadonlyMap<string, SeenFunction>;
  /** Indices of virtual functions. */
  indices: ReadonlyMap<string, number>;
}

/** `nodes`: where they are best. `more`: any of a kind is one that the tenant does not have yet. */
interface HowToChoose {
  nodes?: readonly number[];
  more?: boolean;
}

export class Functions {
  readonly #options: FunctionsOptions;
  readonly #ending = new AbortController();
  /** What a reboot took away is there again, or cannot be. */
  #restored: Promise<void> = Promise.resolve();
  #known: { names: string; choice: Choice } | undefined;

  constructor(options: FunctionsOptions) {
    this.#options = options;
  }

  list(): Promise<FunctionsReport> {
    return functionsReport(this.#options);
  }

  plan(): Promise<PlannedChange[]> {
    return this.#options.counts.plan();
  }

  /** Rejects as Counts.set() does. */
  async setCount(
    address: string,
    count: number,
    progress: (text: string) => void,
    signal: AbortSignal,
  ): Promise<CountReport> {
    const { counts, leases, sysfs } = this.#options;
    const of = normalizePciAddress(address, 'address');
    const before = await virtualFunctions(sysfs, of);
    const report = await counts.set(of, count, progress, signal);
    if (report.before !== report.now) {
      leases.forget(before.values());
      this.#dropMachine();
      this.tell('functions-changed', of, `${report.now} virtual functions in the place of ${report.before}`);
    }
    return report;
  }

  /**
   * Gives a function to an instance, for its next kernel, and sees that it can be had. Rejects with `invalid`, `not-found`,
   * `conflict`, `unavailable` or `unsupported`; then nothing was given.
   */
  async assign(text: string, name: string): Promise<AssignedFunction> {
    const { id, spec } = this.#options.instances().get(name).record;
    const tenant = { instance: id, name: spec.name };
    return this.#lease(deviceWish(text, 'device'), tenant);
  }

  async #lease(wish: DeviceWish, tenant: Tenant): Promise<AssignedFunction> {
    const { leases } = this.#options;
    const had = new Set(leases.ofInstance(tenant.instance).map(({ address }) => address));
    const choice = await this.choice();
    const [address] = this.take([wish], choice, tenant, { more: true });
    try {
      await leases.ready(address!);
    } catch (error) {
      // No kernel has seen it.
      if (!had.has(address!)) leases.forget([address!]);
      throw error;
    }
    const lease = leases.of(address!)!;
    this.tell('function-leased', address!, `leased to ${lease.owner} (generation ${lease.generation})`);
    return { ...lease, warnings: this.#warnings([choice.seen.get(address!)!], choice, tenant) };
  }

  /** What a wish of an instance comes to, of which nothing is leased yet. Throws as take(). */
  async pick(wish: DeviceWish, tenant: Tenant): Promise<{ address: string; isMine: boolean; warnings: string[] }> {
    const choice = await this.choice();
    const [[found]] = [...this.#choose([wish], choice, tenant, { more: true })] as [[SeenFunction, DeviceWish]];
    const { address } = found;
    const isMine = this.#options.leases.ofInstance(tenant.instance).some((each) => each.address === address);
    return { address, isMine, warnings: this.#warnings([found], choice, tenant) };
  }

  /** Undefined when it is nobody's. */
  lease(address: string): LeasedFunction | undefined {
    return this.#options.leases.of(address);
  }

  /** Of all functions that are somebody's. */
  leases(): LeasedFunction[] {
    return this.#options.leases.all();
  }

  /** What steps do to leases. */
  readonly acts: Omit<FunctionActs, 'functionsOf'> = {
    lease: async (address, { instance, owner }, wish) =>
      void (await this.#lease({ ...wish, kind: 'address', address }, { instance, name: owner })),
    setNetwork: (address, settings) => this.#options.leases.setNetwork(address, settings),
    network: (address) => this.#options.leases.network(address),
    giveBack: (address) => this.giveBack([address]),
    isLeased: (address, instance) =>
      this.#options.leases.ofInstance(instance).some((lease) => lease.address === address),
    ready: async (address) => ({
      address,
      name: this.lease(address)?.name ?? null,
      group: await this.#options.leases.ready(address),
    }),
  };

  /** Takes one back. Rejects with `not-found`, `conflict` while a kernel has it, and `unavailable` when it cannot be reset. */
  async release(text: string): Promise<void> {
    const { instances, leases } = this.#options;
    const address = normalizePciAddress(text, 'device');
    const lease = leases.of(address);
    if (lease === undefined) {
      throw new PolykernelError('not-found', `${address} is nobody's`, {
        field: 'device',
        value: address,
        hint: '`pk sriov ls` shows whose each is.',
      });
    }
    const owner = instances().find(lease.owner);
    if (owner?.record.id === lease.instance && owner.active) {
      throw new PolykernelError('conflict', `the kernel of ${lease.owner} has ${address}`, {
        field: 'device',
        value: address,
        hint: `Have it let go: pk device detach ${lease.owner} ${address}. Or stop it: pk stop ${lease.owner}`,
      });
    }
    await this.giveBack([address]);
  }

  async choice(): Promise<Choice> {
    await this.#restored;
    const { sysfs } = this.#options;
    // What a function is does not change while it is there, and to look at a thousand takes a second.
    const names = (await sysfs.list(DEVICES)).join();
    if (this.#known?.names === names) return this.#known.choice;
    const choice = await this.#choice();
    this.#known = { names, choice };
    return choice;
  }

  async #choice(): Promise<Choice> {
    const { sysfs } = this.#options;
    const seen = await seeAll(sysfs);
    const able = [...seen.values()].filter(({ most }) => most > 0);
    const all = await Promise.all(able.map(({ address }) => virtualFunctions(sysfs, address)));
    return {
      seen,
      indices: new Map(all.flatMap((each) => [...each].map(([index, address]) => [address, index] as const))),
    };
  }

  /**
   * Leases the functions that are wished for, all of them or none. Awaits nothing. Gives their addresses. Throws `not-found`, `conflict`,
   * `invalid` or `unsupported`.
   */
  take(wishes: readonly DeviceWish[], choice: Choice, tenant: Tenant, how: HowToChoose): string[] {
    const { leases } = this.#options;
    const chosen = this.#choose(wishes, choice, tenant, how);
    const mine = new Set(leases.ofInstance(tenant.instance).map(({ address }) => address));
    const others = leases.others();
    const taken: SeenFunction[] = [];
    try {
      for (const [each, wish] of chosen) {
        leases.take(each, choice.indices.get(each.address) ?? null, tenant, wish, others);
        if (!mine.has(each.address)) taken.push(each);
      }
    } catch (error) {
      // No kernel has seen them.
      leases.forget(taken.map(({ address }) => address));
      throw error;
    }
    for (const warning of this.#warnings(taken, choice, tenant)) this.tell('function-split', tenant.name, warning);
    return [...chosen.keys()].map(({ address }) => address);
  }

  /** The functions that are wished for, which are the tenant's or free. Throws as take(). */
  #choose(
    wishes: readonly DeviceWish[],
    { seen }: Choice,
    tenant: Tenant,
    { nodes = [], more = false }: HowToChoose,
  ): Map<SeenFunction, DeviceWish> {
    const { leases } = this.#options;
    const mine = new Set(leases.ofInstance(tenant.instance).map(({ address }) => address));
    const others = leases.others();
    const all = [...seen.values()];
    const [own, free] = [
      all.filter(({ address }) => mine.has(address)),
      all.filter((each) => !mine.has(each.address) && isFree(() => leases.checkFree(each, others, tenant.name))),
    ];
    const chosen = new Map<SeenFunction, DeviceWish>();
    for (const wish of inOrder(wishes)) {
      const choose = (from: SeenFunction[]) => {
        const left = from.filter((each) => !chosen.has(each));
        return chooseFunction(wish, left, nodes);
      };
      const found = (more && wish.kind === 'virtual' ? undefined : choose(own)) ?? choose(free);
      if (found === undefined) throw this.#noneFor(wish, seen, chosen);
      checkSettings(found, wish);
      chosen.set(found, wish);
    }
    this.#checkNames(chosen, tenant);
    return chosen;
  }

  /** Throws `invalid` for a name that the tenant has given to another function. */
  #checkNames(chosen: ReadonlyMap<SeenFunction, DeviceWish>, { instance }: Tenant): void {
    const names = new Map(this.#options.leases.ofInstance(instance).map(({ name, address }) => [name, address]));
    for (const [{ address }, { name }] of chosen) {
      if (name !== null && (names.get(name) ?? address) !== address)
        throw new PolykernelError('invalid', `${names.get(name)} is called ${name} already`, {
          field: 'device',
          value: `${address}=${name}`,
          hint: 'Choose another name.',
        });
      names.set(name, address);
    }
  }

  /** Of functions whose devices are not the tenant's as wholes. */
  #warnings(functions: readonly SeenFunction[], { seen }: Choice, { instance }: Tenant): string[] {
    const mine = new Set(this.#options.leases.ofInstance(instance).map(({ address }) => address));
    return functions.flatMap(
      (each) =>
        splitWarning(
          each,
          siblingsLeft(each, seen.values(), (address) => mine.has(address)),
        ) ?? [],
    );
  }

  /** Gives back what an instance had by a partition that is another one now. */
  async giveBackFormer(instance: string, partition: readonly string[]): Promise<void> {
    const { leases } = this.#options;
    const mine = leases.ofInstance(instance);
    // Most have none, and to look at the whole machine takes a while.
    if (mine.length === 0) return;
    const others = leases.others();
    // Of the pool nothing is leased but by a partition.
    const former = mine.filter(({ address }) => others.has(address) && !partition.includes(address));
    await this.giveBack(former.map(({ address }) => address));
  }

  /** Gives back what an instance had by words that it has no more, but for what is its `partition`'s. */
  async giveBackUnwished(
    instance: string,
    before: readonly string[],
    now: readonly string[],
    partition: readonly string[],
  ): Promise<void> {
    const gone = [...before];
    for (const word of now) if (gone.includes(word)) gone.splice(gone.indexOf(word), 1);
    if (gone.length === 0) return;
    const { leases } = this.#options;
    const mine = new Set(leases.ofInstance(instance).map(({ address }) => address));
    const { seen } = await this.choice();
    let left = [...seen.values()].filter(({ address }) => mine.has(address) && !partition.includes(address));
    const former: string[] = [];
    const take = (wish: DeviceWish, of: SeenFunction[], isGone: boolean): boolean => {
      const found = chooseFunction(wish, of, []);
      if (found === undefined) return false;
      left = left.filter((each) => each !== found);
      if (isGone) former.push(found.address);
      return true;
    };
    const lost = new Set(gone.map((word) => deviceWish(word)));
    const others = inOrder([...now.map((word) => deviceWish(word)), ...lost]).filter((wish) => {
      const asWished = left.filter(({ address }) => leases.isAsWished(address, wish));
      return !take(wish, asWished, lost.has(wish));
    });
    // Their settings were changed since.
    for (const wish of others) take(wish, left, lost.has(wish));
    await this.giveBack(former);
  }

  /** Has all that an instance leases ready for its next kernel; `way`: how its driver gives them. Rejects as Leases.ready() does. */
  async readyAll(instance: string, way: Capabilities['devices']): Promise<PassedFunction[]> {
    const { leases } = this.#options;
    const ready = async (address: string) =>
      way === 'host' ? leases.readyForHost(address).then(() => null) : leases.ready(address);
    const mine = leases.ofInstance(instance);
    return Promise.all(mine.map(async ({ address, name }) => ({ address, name, group: await ready(address) })));
  }

  /** Resets at the same time: each takes 100 ms at least. Rejects with the first failure, after all. */
  async giveBack(addresses: readonly string[]): Promise<void> {
    const { leases } = this.#options;
    const results = await Promise.allSettled(
      addresses.map(async (address) => {
        const owner = leases.of(address)?.owner;
        await leases.giveBack(address);
        if (owner !== undefined) this.tell('function-returned', address, `reset, after ${owner} had it`);
      }),
    );
    this.#dropMachine();
    const failed = results.find((result) => result.status === 'rejected');
    if (failed === undefined) return;
    for (const address of addresses) {
      const lease = leases.of(address);
      if (lease?.state === 'failed') this.tell('function-failed', address, lease.reason ?? '');
    }
    throw failed.reason;
  }

  /** All of one instance. */
  giveBackOf(instance: string): Promise<void> {
    return this.giveBack(this.#options.leases.ofInstance(instance).map(({ address }) => address));
  }

  /** Those of instances that are none of these, and those that an earlier daemon was resetting. */
  async giveBackAllBut(instances: ReadonlySet<string>): Promise<void> {
    const left = this.#options.leases
      .all()
      .filter(({ state, instance, address }) =>
        state === 'leased'
          ? !instances.has(instance)
          : state === 'returning' && !this.#options.leases.isReturning(address),
      );
    await this.giveBack(left.map(({ address }) => address)).catch((error) => this.#complain('functions', error));
  }

  recover(): void {
    const { counts, leases, journal } = this.#options;
    const unreadable = (id: string, _: string, error: unknown) =>
      journal.error(`the record of the function ${id} cannot be read and is ignored`, error);
    counts.load(unreadable);
    leases.load(unreadable);
    const complain = (doing: string, error: unknown) => journal.error(doing, error);
    this.#restored = counts.restore(this.#ending.signal, complain, (text) => journal.info(text));
  }

  async close(): Promise<void> {
    this.#ending.abort(new PolykernelError('unavailable', 'the daemon is ending', { hint: 'Try again.' }));
    this.#options.sysfs.close();
    await this.#restored;
    await this.#options.leases.settled();
  }

  #noneFor(wish: DeviceWish, seen: Choice['seen'], chosen: ReadonlyMap<SeenFunction, unknown>): PolykernelError {
    const { leases } = this.#options;
    if (wish.kind === 'virtual') {
      const others = leases.others();
      const here = new Set([...chosen.keys()].map(({ address }) => address));
      const holder = (address: string) =>
        leases.of(address)?.owner ?? others.get(address) ?? (here.has(address) ? 'this instance' : 'nobody');
      const { message, hint } = noneFree(wish.of, [...seen.values()], holder);
      return new PolykernelError('conflict', message, { field: 'device', value: `vf:${wish.of}`, hint });
    }
    const found = seen.get(wish.address);
    if (found === undefined) return noFunction(wish.address);
    if (chosen.has(found))
      return new PolykernelError('invalid', `${wish.address} is asked for twice`, {
        field: 'device',
        value: wish.address,
      });
    try {
      leases.checkFree(found);
    } catch (error) {
      return error as PolykernelError;
    }
    return new PolykernelError('conflict', `${wish.address} cannot be had`, {
      field: 'device',
      value: wish.address,
      hint: '`pk sriov ls` shows whose each is.',
    });
  }

  #dropMachine(): void {
    const { counts, leases, dropMachine } = this.#options;
    if (counts.isEmpty && leases.all().length === 0) dropMachine();
  }

  #complain(what: string, error: unknown): void {
    this.#options.journal.error(`giving back ${what}`, error);
  }

  tell(type: SriovEvent, address: string, message: string): void {
    const { events, clock } = this.#options;
    this.#options.changed();
    events.tell({ at: timestamp(clock), type, name: address, id: address, message });
  }
}

function isFree(check: () => void): boolean {
  try {
    check();
    return true;
  } catch {
    return false;
  }
}

/** Wishes for one function come before those for any. */
const inOrder = (wishes: readonly DeviceWish[]): DeviceWish[] =>
  wishes.toSorted((a, b) => a.kind.localeCompare(b.kind));
