/** The channels of a daemon: made and removed, given to instances and shown to their kernels, and taken up again. */
import { randomBytes } from 'node:crypto';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { EventLog } from '../core/events.ts';
import type { Journal } from '../core/journal.ts';
import { Mutex } from '../core/mutex.ts';
import { checkName } from '../core/name.ts';
import type { Records } from '../core/table.ts';
import type { Kernel, SharedRegion } from '../driver/index.ts';
import { type ChannelUse, HOST, type Instance } from '../instance/contract.ts';
import { removeRing } from '../ring/index.ts';
import { type Clock, timestamp } from '../sys/clock.ts';
import { asPolykernelError, PolykernelError } from '../sys/errors.ts';
import { formatBytes } from '../sys/units.ts';
import { openBellFifo } from './bell-fifo.ts';
import { Channel } from './channel.ts';
import { forgetChannels } from './channel-descriptors.ts';
import { checkPeers, endFor, HOST_END, isToClaim } from './channel-ends.ts';
import { ChannelKernels } from './channel-kernels.ts';
import { BELL_FIFO, ChannelMemory, checkMemory } from './channel-memory.ts';
import { channelStatus } from './channel-status.ts';
import { patiently } from './channel-view.ts';
import {
  type ChannelManager,
  type ChannelRecord,
  type ChannelRequest,
  type ChannelSide,
  type ChannelStatus,
  checkTenants,
  type EndRecord,
  endOf,
  otherSide,
  resolveChannel,
  SIDES,
} from './contract.ts';
import type { Keepers } from './keeper.ts';

/** How often it is looked whether all keepers live. */
const KEEP_MS = 5000;

export interface ChannelsOptions {
  /** Of the descriptors for the host's processes. */
  directory: string;
  keepers: Keepers;
  records: Records<ChannelRecord>;
  /** By name; undefined when there is none. */
  instance(name: string): Pick<Instance, 'record' | 'isTakingOver' | 'takenOver'> | undefined;
  events: EventLog;
  clock: Clock;
  journal: Journal;
}

/**
 * INVARIANTS
 * - A record is in the store before anything of its channel exists, and until all of it is gone: what a crash leaves half
 *   made or half removed is completed by recover().
 * - Changes of records and memory run one after the other. No guest is waited for meanwhile: what is asked of one has a
 *   queue of its own, and whoever wants to see the answer waits for that, for a while.
 */
export class Channels implements ChannelManager {
  readonly #options: ChannelsOptions;
  readonly #channels = new Map<string, Channel>();
  readonly #memory: ChannelMemory;
  readonly #kernels: ChannelKernels;
  readonly #mutex = new Mutex();
  #closeFifo: (() => void) | undefined;
  #cancelKeeping: (() => void) | undefined;
  #closed = false;

  constructor(options: ChannelsOptions) {
    this.#options = options;
    this.#memory = new ChannelMemory(options);
    this.#kernels = new ChannelKernels({
      journal: options.journal,
      regionFor: (channel, instance) =>
        this.#isThere(channel) ? this.#memory.regionFor(channel, instance) : undefined,
      isTakingOver: (instance) => options.instance(instance)?.isTakingOver ?? false,
      rung: (instance, slot) => this.#guestBell(instance, slot),
    });
  }

  readonly #tenantOf = (instance: string) => this.#options.instance(instance)?.record.spec.tenant;

  list(): ChannelStatus[] {
    const names = [...this.#channels.keys()].sort();
    return names.map((name) => this.#status(this.#channels.get(name)!));
  }

  get(name: string): ChannelStatus {
    return this.#status(this.#channel(name));
  }

  async create(asked: ChannelRequest, stack: string | null = null): Promise<ChannelStatus> {
    const request = resolveChannel(asked);
    checkName(request.name);
    for (const field of ['from', 'to'] as const) checkName(request[field], field);
    const channel = await this.#mutex.run(async () => {
      const tenantOf = this.#tenantOf;
      checkTenants(request.name, 'to', [request.from, tenantOf(request.from)], [request.to, tenantOf(request.to)]);
      return await this.#make(request, this.#endFor(request.from, false), this.#endFor(request.to, false), stack);
    });
    await patiently(
      this.#options.clock,
      SIDES.map((side) => this.#kernels.show(channel, channel.ownerOf(side))),
    );
    return this.#status(channel);
  }

  async remove(name: string, force = false): Promise<void> {
    const { record } = this.#channel(name);
    // Of a kernel that has not answered yet it is not known what its programs have open.
    if (!force) await Promise.all(SIDES.map((side) => this.#options.instance(endOf(record, side).owner)?.takenOver()));
    const told = await this.#mutex.run(async () => {
      const channel = this.#channel(name);
      const user = force ? undefined : SIDES.find((side) => this.#kernels.isInUse(channel, side));
      if (user !== undefined) {
        const owner = channel.ownerOf(user);
        const where = owner === HOST ? 'of this machine' : `in ${owner}`;
        throw new PolykernelError('conflict', `a program ${where} has the ${user} side of the channel ${name} open`, {
          field: 'name',
          value: name,
          hint: `End it first, or remove the channel by force (pk channel rm --force ${name}): the program then gets an error.`,
        });
      }
      this.#put(channel, { ...channel.record, removing: true });
      return await this.#erase(channel);
    });
    await patiently(this.#options.clock, told);
  }

  /**
   * Gives an instance that is about to be created the ends it asks for: makes channels that are not there, and takes ends
   * that are the host's. Resolves with what undoes that. Rejects with `conflict` when an end is another's or in use, or the
   * other end another tenant's; then nothing was taken.
   */
  async claim(instance: string, tenant: string | null, uses: readonly ChannelUse[]): Promise<() => Promise<void>> {
    const made: Channel[] = [];
    const undo = async () => {
      this.#release((owner) => owner === instance);
      for (const channel of made.reverse()) {
        const isTaken =
          this.#channels.get(channel.record.name) !== channel ||
          SIDES.some((side) => this.#kernels.isInUse(channel, side));
        if (!isTaken) await this.#erase(channel);
      }
    };
    if (this.#channels.size + uses.length > 0)
      await this.#mutex.run(async () => {
        try {
          for (const use of uses) {
            const isNew = !this.#channels.has(use.name);
            await this.#claim(instance, use);
            if (isNew) made.push(this.#channel(use.name));
          }
          this.checkOwner(instance, tenant);
        } catch (error) {
          await undo();
          throw error;
        }
      });
    return () => (uses.length > 0 ? this.#mutex.run(undo) : Promise.resolve());
  }

  /** Throws `conflict` when a channel of an instance would lead to one of another tenant than `tenant`. */
  checkOwner(instance: string, tenant: string | null, tenantOf = this.#tenantOf): void {
    checkPeers(this.#channels.values(), instance, tenant, tenantOf);
  }

  /** Gives back to the host what an instance that is gone had claimed. */
  release(instance: string): Promise<void> {
    return this.#mutex.run(async () => this.#release((owner) => owner === instance));
  }

  /** Shared memory for the next start of an instance. */
  regionsOf(instance: string): SharedRegion[] {
    const regions = [...this.#channels.values()].flatMap((channel) => this.#memory.regionFor(channel, instance) ?? []);
    return regions.sort((a, b) => a.slot - b.slot);
  }

  /** A kernel of an instance runs, started with `regions` or found again: shows it what it does not see yet. */
  kernelUp(instance: string, kernel: Kernel, regions: readonly SharedRegion[], adopted: boolean): void {
    this.#kernels.add(instance, kernel, adopted ? [] : regions.map(({ id }) => id));
    const mine = [...this.#channels.values()].filter(
      (channel) => this.#memory.regionFor(channel, instance) !== undefined,
    );
    if (mine.length === 0) return;
    void Promise.all(mine.map((channel) => this.#kernels.show(channel, instance))).then(() => {
      // Bells may have been lost while nobody relayed them.
      for (const channel of mine) if (this.#isThere(channel)) for (const side of SIDES) channel.bells[side].ring();
    });
  }

  /** Takes up what an earlier daemon left; before any kernel is taken up. */
  async recover(): Promise<void> {
    const { records: store, keepers, journal } = this.#options;
    // Of one that cannot be read the memory stays: a later version may read it.
    const known = new Set<string>();
    const records = store.all((id, name, error) => {
      known.add(id);
      journal.error(`the record of the channel ${name} cannot be read and is ignored`, error);
    });
    for (const { id } of records) known.add(id);
    await keepers.endAllBut(known).catch((error) => journal.error('ending keepers of no channel', error));
    for (const record of records) {
      const channel = this.#add(record);
      try {
        if (record.removing) await this.#erase(channel);
        else {
          await this.#memory.find(channel);
          channel.news.skip();
        }
      } catch (error) {
        journal.error(`taking up the channel ${record.name}`, error);
      }
    }
    forgetChannels(this.#options.directory, new Set(this.#channels.keys()));
    if (this.#channels.size > 0) await this.#begin();
  }

  /** Ends claims of instances that are not there any more. */
  releaseAllBut(instances: () => ReadonlySet<string>): Promise<void> {
    return this.#mutex.run(async () => {
      const there = instances();
      this.#release((owner) => !there.has(owner));
    });
  }

  /** Lets go; channels and their memory stay. */
  close(): void {
    this.#closed = true;
    this.#cancelKeeping?.();
    this.#closeFifo?.();
    for (const channel of this.#channels.values()) channel.letGo();
    this.#channels.clear();
  }

  #channel(name: string): Channel {
    const channel = this.#channels.get(name);
    if (channel !== undefined) return channel;
    throw new PolykernelError('not-found', `there is no channel ${JSON.stringify(name)}`, {
      field: 'name',
      value: name,
      hint: 'See which there are: pk channel ls',
    });
  }

  #isThere(channel: Channel): boolean {
    return !this.#closed && !channel.record.removing && this.#channels.get(channel.record.name) === channel;
  }

  #status(channel: Channel): ChannelStatus {
    const see = (side: ChannelSide) => this.#kernels.seen(channel, side);
    return channelStatus(channel.record, channel.memory, { send: see('send'), recv: see('recv') });
  }

  #add(record: ChannelRecord): Channel {
    const channel = new Channel(record, this.#options, (mine, side) => this.#kernels.wake(mine, side));
    this.#channels.set(record.name, channel);
    return channel;
  }

  #put(channel: Channel, record: ChannelRecord): void {
    this.#options.records.put(record);
    channel.record = record;
  }

  async #make(
    request: Required<ChannelRequest>,
    from: EndRecord,
    to: EndRecord,
    stack: string | null,
  ): Promise<Channel> {
    const { name, sizeBytes } = request;
    if (this.#channels.has(name)) {
      throw new PolykernelError('conflict', `there is a channel ${name} already`, {
        field: 'name',
        value: name,
        hint: `Choose another name, or remove it: pk channel rm ${name}`,
      });
    }
    checkMemory(sizeBytes);
    const numbers = new Set([...this.#channels.values()].map(({ record }) => record.number));
    let number = 1;
    while (numbers.has(number)) number += 1;
    const id = randomBytes(16).toString('hex');
    const createdAt = timestamp(this.#options.clock);
    const record = { id, name, number, sizeBytes, from, to, createdAt, stack, removing: false };
    this.#options.records.put(record);
    const channel = this.#add(record);
    try {
      await this.#begin();
      await this.#memory.make(channel);
    } catch (error) {
      await this.#erase(channel, false);
      throw asPolykernelError(error, `making the channel ${name}`);
    }
    channel.tell('channel-created', `${from.owner} to ${to.owner}, ${formatBytes(sizeBytes)}`);
    return channel;
  }

  /** Removes all of it but what guests see, and asks them to let go of that. `told`: whether its removal is news. */
  async #erase(channel: Channel, told = true): Promise<Promise<void>[]> {
    const { records: store, keepers, directory } = this.#options;
    const { id, name } = channel.record;
    if (channel.memory !== undefined) {
      removeRing(channel.memory);
      for (const side of SIDES) this.#kernels.wake(channel, side);
    }
    rmSync(join(directory, name), { force: true });
    const hidden = this.#kernels.hide(channel);
    channel.letGo();
    await keepers.end(id);
    store.delete(id);
    this.#channels.delete(name);
    if (told) channel.tell('channel-removed', '');
    return hidden;
  }

  async #claim(instance: string, use: ChannelUse): Promise<void> {
    const { name, side } = use;
    const channel = this.#channels.get(name);
    const mine = () => this.#endFor(instance, true);
    if (channel === undefined) {
      const [from, to] = side === 'send' ? [mine(), HOST_END] : [HOST_END, mine()];
      await this.#make(resolveChannel({ name: checkName(name, 'channels') }), from, to, null);
    } else if (isToClaim(channel.record, use, instance, () => this.#kernels.isInUse(channel, side)))
      this.#setEnd(channel, side, mine());
  }

  #endFor(owner: string, claimed: boolean): EndRecord {
    return endFor(this.#channels.values(), owner, claimed);
  }

  #release(gone: (owner: string) => boolean): void {
    for (const channel of this.#channels.values()) {
      for (const side of SIDES) {
        const { owner, claimed } = endOf(channel.record, side);
        if (claimed && gone(owner)) this.#setEnd(channel, side, HOST_END);
      }
    }
  }

  #setEnd(channel: Channel, side: ChannelSide, end: EndRecord): void {
    this.#put(channel, { ...channel.record, [side === 'send' ? 'from' : 'to']: end });
    this.#memory.describe(channel);
  }

  /** What is needed as soon as there is one channel. */
  async #begin(): Promise<void> {
    const { directory, clock } = this.#options;
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    this.#closeFifo ??= await openBellFifo(join(directory, BELL_FIFO), (number) => this.#hostBell(number));
    this.#cancelKeeping ??= clock.after(KEEP_MS, () => this.#keepAll());
  }

  /** Starts keepers anew for memory that is still mapped here, and asks kernels again that did not answer. */
  #keepAll(): void {
    this.#cancelKeeping = undefined;
    if (this.#closed) return;
    void this.#mutex
      .run(async () => {
        for (const channel of this.#channels.values()) if (!this.#closed) await this.#keep(channel);
      })
      .finally(() => {
        this.#kernels.showAgain(this.#channels.values());
        if (!this.#closed) this.#cancelKeeping = this.#options.clock.after(KEEP_MS, () => this.#keepAll());
      });
  }

  async #keep(channel: Channel): Promise<void> {
    const { journal } = this.#options;
    const { name } = channel.record;
    try {
      // What the next daemon has described by now is not this one's any more.
      if (!(await this.#memory.keep(channel)) || this.#closed) return;
      this.#memory.describe(channel);
      journal.info('a channel has a new keeper', { channel: name });
    } catch (error) {
      journal.error(`keeping the memory of the channel ${name}`, error);
    }
  }

  #hostBell(number: number): void {
    const channel = [...this.#channels.values()].find(({ record }) => record.number === number);
    if (channel === undefined) return;
    channel.news.look();
    const [side, ...others] = SIDES.filter((each) => channel.ownerOf(each) === HOST);
    // Two processes of the host wake each other without us.
    if (side !== undefined && others.length === 0) channel.bells[otherSide(side)].ring();
  }

  #guestBell(instance: string, slot: number): void {
    for (const channel of this.#channels.values()) {
      for (const side of SIDES) {
        const { owner, slot: own } = endOf(channel.record, side);
        if (owner !== instance || own !== slot) continue;
        channel.news.look();
        channel.bells[otherSide(side)].ring();
      }
    }
  }
}
