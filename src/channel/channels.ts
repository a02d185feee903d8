/** The channels of a daemon: their memory, who sees it, and the bells between kernels. */
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { EventLog } from '../core/events.ts';
import type { Journal } from '../core/journal.ts';
import { Mutex } from '../core/mutex.ts';
import { checkName } from '../core/name.ts';
import type { Records } from '../core/table.ts';
import type { Kernel, SharedRegion } from '../driver/index.ts';
import { MAX_CHANNELS } from '../guest/index.ts';
import { type ChannelUse, HOST } from '../instance/contract.ts';
import { type RingStatistics, removeRing, ringBytes, SharedMemory, wakeSide } from '../ring/index.ts';
import { type Clock, timestamp } from '../sys/clock.ts';
import { asPolykernelError, PolykernelError } from '../sys/errors.ts';
import { formatBytes } from '../sys/units.ts';
import { openBellFifo } from './bell-fifo.ts';
import { BellThrottle } from './bell-throttle.ts';
import { describeChannel, forgetChannels } from './channel-descriptors.ts';
import { channelStatus, faultOf, type Seen, sideOf, statisticsOf } from './channel-status.ts';
import { KernelView, patiently } from './channel-view.ts';
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

/** Left to the machine beyond what a channel takes. */
const SPARE_BYTES = 64 * 2 ** 20;
/** Changes within this time of the last that was told are told together. */
const NEWS_MS = 1000;
/** How often it is looked whether all keepers live. */
const KEEP_MS = 5000;
const BELL_FIFO = '.bell';

export interface ChannelsOptions {
  /** Of the descriptors for the host's processes. */
  directory: string;
  keepers: Keepers;
  records: Records<ChannelRecord>;
  /** Of an instance that there is; undefined when there is none. */
  tenantOf(instance: string): string | null | undefined;
  events: EventLog;
  clock: Clock;
  journal: Journal;
}

interface Entry {
  record: ChannelRecord;
  /** undefined: it was lost with its keeper and this process' predecessor. */
  memory: SharedMemory | undefined;
  /** Id of memory that was lost: what kernels have mapped by that id is to be taken from them. */
  lostId: string | undefined;
  throttles: Record<ChannelSide, BellThrottle>;
  /** What was last told of each side. */
  told: Record<ChannelSide, { epoch: number; state: string }>;
  toldAt: number;
  cancelNews: (() => void) | undefined;
}

/**
 * INVARIANTS
 * - A record is in the store before anything of its channel exists, and until all of it is gone: what a crash leaves half
 *   made or half removed is completed by recover().
 * - The memory of a channel is mapped here and kept by a keeper: either one may die without loss.
 * - Changes of records and memory run one after the other. No guest is waited for meanwhile: what is asked of one has a
 *   queue of its own, and whoever wants to see the answer waits for that, for a while.
 */
export class Channels implements ChannelManager {
  readonly #options: ChannelsOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #kernels = new Map<string, KernelView>();
  readonly #mutex = new Mutex();
  #closeFifo: (() => void) | undefined;
  #cancelKeeping: (() => void) | undefined;
  #closed = false;

  constructor(options: ChannelsOptions) {
    this.#options = options;
  }

  list(): ChannelStatus[] {
    const names = [...this.#entries.keys()].sort();
    return names.map((name) => this.#status(this.#entries.get(name)!));
  }

  get(name: string): ChannelStatus {
    return this.#status(this.#entry(name));
  }

  async create(asked: ChannelRequest, stack: string | null = null): Promise<ChannelStatus> {
    const request = resolveChannel(asked);
    checkName(request.name);
    for (const field of ['from', 'to'] as const) checkName(request[field], field);
    const entry = await this.#mutex.run(async () => {
      const { tenantOf } = this.#options;
      checkTenants(request.name, 'to', [request.from, tenantOf(request.from)], [request.to, tenantOf(request.to)]);
      const end = (owner: string): EndRecord => ({ owner, slot: this.#freeSlot(owner), claimed: false });
      return await this.#make(request, end(request.from), end(request.to), stack);
    });
    await patiently(
      this.#options.clock,
      SIDES.map((side) => this.#show(entry, endOf(entry.record, side).owner)),
    );
    return this.#status(entry);
  }

  async remove(name: string, force = false): Promise<void> {
    const told = await this.#mutex.run(async () => {
      const entry = this.#entry(name);
      const user = force ? undefined : SIDES.find((side) => this.#isInUse(entry, side));
      if (user !== undefined) {
        const { owner } = endOf(entry.record, user);
        const where = owner === HOST ? 'of this machine' : `in ${owner}`;
        throw new PolykernelError('conflict', `a program ${where} has the ${user} side of the channel ${name} open`, {
          field: 'name',
          value: name,
          hint: `End it first, or remove the channel by force (pk channel rm --force ${name}): the program then gets an error.`,
        });
      }
      const record = { ...entry.record, removing: true };
      this.#options.records.put(record);
      entry.record = record;
      return await this.#erase(entry);
    });
    await patiently(this.#options.clock, told);
  }

  /**
   * Gives an instance that is about to be created the ends it asks for: makes channels that are not there, and takes ends
   * that are the host's. Resolves with what undoes that. Rejects with `conflict` when an end is another's or in use, or the
   * other end another tenant's; then nothing was taken.
   */
  async claim(instance: string, tenant: string | null, uses: readonly ChannelUse[]): Promise<() => Promise<void>> {
    const made: Entry[] = [];
    const undo = async () => {
      this.#release((owner) => owner === instance);
      for (const entry of made.reverse()) {
        const isTaken =
          this.#entries.get(entry.record.name) !== entry || SIDES.some((side) => this.#isInUse(entry, side));
        if (!isTaken) await this.#erase(entry);
      }
    };
    if (this.#entries.size + uses.length > 0)
      await this.#mutex.run(async () => {
        try {
          for (const use of uses) {
            const isNew = !this.#entries.has(use.name);
            await this.#claim(instance, use);
            if (isNew) made.push(this.#entry(use.name));
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
  checkOwner(instance: string, tenant: string | null, tenantOf = this.#options.tenantOf): void {
    for (const { record } of this.#entries.values())
      for (const side of SIDES) {
        const other = endOf(record, otherSide(side)).owner;
        if (endOf(record, side).owner !== instance) continue;
        checkTenants(record.name, 'tenant', [instance, tenant], [other, tenantOf(other)]);
      }
  }

  /** Gives back to the host what an instance that is gone had claimed. */
  release(instance: string): Promise<void> {
    return this.#mutex.run(async () => this.#release((owner) => owner === instance));
  }

  /** Shared memory for the next start of an instance. */
  regionsOf(instance: string): SharedRegion[] {
    const regions: SharedRegion[] = [];
    for (const entry of this.#entries.values()) {
      const region = this.#regionFor(entry, instance);
      if (region !== undefined) regions.push(region);
    }
    return regions.sort((a, b) => a.slot - b.slot);
  }

  /** A kernel of an instance runs, started with `regions` or found again: shows it what it does not see yet. */
  kernelUp(instance: string, kernel: Kernel, regions: readonly SharedRegion[], adopted: boolean): void {
    const attached = adopted ? [] : regions.map(({ id }) => id);
    const entry = new KernelView(kernel, attached, this.#options.journal);
    this.#kernels.set(instance, entry);
    kernel.guest.on('bell', (slot) => this.#guestBell(instance, entry, slot));
    void kernel.exited.then(() => {
      if (this.#kernels.get(instance) === entry) this.#kernels.delete(instance);
    });
    const mine = [...this.#entries.values()].filter((each) => this.#regionFor(each, instance) !== undefined);
    if (mine.length === 0) return;
    void Promise.all(mine.map((each) => this.#show(each, instance))).then(() => {
      // Bells may have been lost while nobody relayed them.
      for (const each of mine) if (this.#isThere(each)) for (const side of SIDES) each.throttles[side].ring();
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
      const entry = this.#add(record);
      try {
        if (record.removing) await this.#erase(entry);
        else await this.#findMemory(entry);
      } catch (error) {
        journal.error(`taking up the channel ${record.name}`, error);
      }
    }
    forgetChannels(this.#options.directory, new Set(this.#entries.keys()));
    if (this.#entries.size > 0) await this.#begin();
  }

  /** Ends claims of instances that are not there any more. */
  releaseAllBut(instances: ReadonlySet<string>): Promise<void> {
    return this.#mutex.run(async () => this.#release((owner) => !instances.has(owner)));
  }

  /** Lets go; channels and their memory stay. */
  close(): void {
    this.#closed = true;
    this.#cancelKeeping?.();
    this.#closeFifo?.();
    for (const entry of this.#entries.values()) this.#drop(entry);
    this.#entries.clear();
  }

  #entry(name: string): Entry {
    const entry = this.#entries.get(name);
    if (entry !== undefined) return entry;
    throw new PolykernelError('not-found', `there is no channel ${JSON.stringify(name)}`, {
      field: 'name',
      value: name,
      hint: 'See which there are: pk channel ls',
    });
  }

  #add(record: ChannelRecord): Entry {
    const { clock } = this.#options;
    const throttle = (side: ChannelSide) => new BellThrottle(clock, () => this.#wake(entry, side));
    const entry: Entry = {
      record,
      memory: undefined,
      lostId: undefined,
      throttles: { send: throttle('send'), recv: throttle('recv') },
      told: { send: { epoch: 0, state: 'detached' }, recv: { epoch: 0, state: 'detached' } },
      toldAt: 0,
      cancelNews: undefined,
    };
    this.#entries.set(record.name, entry);
    return entry;
  }

  #drop(entry: Entry): void {
    for (const side of SIDES) entry.throttles[side].close();
    entry.cancelNews?.();
    entry.memory?.[Symbol.dispose]();
    entry.memory = undefined;
  }

  async #make(request: Required<ChannelRequest>, from: EndRecord, to: EndRecord, stack: string | null): Promise<Entry> {
    const { records: store, keepers, clock } = this.#options;
    const { name, sizeBytes } = request;
    if (this.#entries.has(name)) {
      throw new PolykernelError('conflict', `there is a channel ${name} already`, {
        field: 'name',
        value: name,
        hint: `Choose another name, or remove it: pk channel rm ${name}`,
      });
    }
    checkMemory(sizeBytes);
    const numbers = new Set([...this.#entries.values()].map(({ record }) => record.number));
    let number = 1;
    while (numbers.has(number)) number += 1;
    const id = randomBytes(16).toString('hex');
    const record = { id, name, number, sizeBytes, from, to, createdAt: timestamp(clock), stack, removing: false };
    store.put(record);
    const entry = this.#add(record);
    try {
      await this.#begin();
      await keepers.start(id, sizeBytes);
      this.#map(entry);
      this.#describe(entry);
    } catch (error) {
      await this.#erase(entry, false);
      throw asPolykernelError(error, `making the channel ${name}`);
    }
    this.#tell('channel-created', entry, `${from.owner} to ${to.owner}, ${formatBytes(sizeBytes)}`);
    return entry;
  }

  /** What is needed as soon as there is one channel. */
  async #begin(): Promise<void> {
    const { directory } = this.#options;
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    this.#closeFifo ??= await openBellFifo(join(directory, BELL_FIFO), (number) => this.#hostBell(number));
    this.#cancelKeeping ??= this.#options.clock.after(KEEP_MS, () => this.#keepAll());
  }

  async #claim(instance: string, { name, side }: ChannelUse): Promise<void> {
    const existing = this.#entries.get(name);
    const mine = () => ({ owner: instance, slot: this.#freeSlot(instance), claimed: true });
    const host = { owner: HOST, slot: null, claimed: false };
    if (existing === undefined) {
      const [from, to] = side === 'send' ? [mine(), host] : [host, mine()];
      await this.#make(resolveChannel({ name: checkName(name, 'channels') }), from, to, null);
      return;
    }
    const { owner } = endOf(existing.record, side);
    if (owner === instance) return;
    const refuse = (reason: string, hint: string) => {
      throw new PolykernelError('conflict', reason, { field: 'channels', value: `${name}:${side}`, hint });
    };
    if (owner !== HOST)
      refuse(`the ${side} side of the channel ${name} is ${owner}'s`, `See pk channel inspect ${name}`);
    if (this.#isInUse(existing, side))
      refuse(`a program of this machine has the ${side} side of the channel ${name} open`, 'End that program first.');
    if (endOf(existing.record, otherSide(side)).owner === instance)
      refuse(`both ends of the channel ${name} would be ${instance}'s`, 'Use two channels, or none.');
    this.#setEnd(existing, side, mine());
  }

  #release(gone: (owner: string) => boolean): void {
    for (const entry of this.#entries.values()) {
      for (const side of SIDES) {
        const { owner, claimed } = endOf(entry.record, side);
        if (claimed && gone(owner)) this.#setEnd(entry, side, { owner: HOST, slot: null, claimed: false });
      }
    }
  }

  #setEnd(entry: Entry, side: ChannelSide, end: EndRecord): void {
    const record = { ...entry.record, [side === 'send' ? 'from' : 'to']: end };
    this.#options.records.put(record);
    entry.record = record;
    this.#describe(entry);
  }

  /** The lowest free slot of an instance. Throws `conflict` when it has as many channels as it can. */
  #freeSlot(owner: string): number | null {
    if (owner === HOST) return null;
    const taken = new Set<number | null>();
    for (const { record } of this.#entries.values())
      for (const side of SIDES) if (endOf(record, side).owner === owner) taken.add(endOf(record, side).slot);
    for (let slot = 0; slot < MAX_CHANNELS; slot++) if (!taken.has(slot)) return slot;
    throw new PolykernelError('conflict', `${owner} has ${MAX_CHANNELS} channels already, which is the most`, {
      field: 'channels',
      value: owner,
      hint: 'Send several kinds of messages through one channel, or remove one.',
    });
  }

  /** Throws `internal` when its keeper is gone. */
  #map(entry: Entry): void {
    const path = this.#options.keepers.find(entry.record.id);
    if (path === undefined) throw new PolykernelError('internal', 'the keeper of its memory is gone');
    const memory = SharedMemory.open(path);
    if (memory.bytes < ringBytes(entry.record.sizeBytes)) {
      memory[Symbol.dispose]();
      throw new PolykernelError('internal', 'the memory has another size than it was made with');
    }
    entry.memory = memory;
  }

  /** After a restart: its memory is with its keeper, or it is gone and made anew. */
  async #findMemory(entry: Entry): Promise<void> {
    const { keepers, records: store } = this.#options;
    if (keepers.find(entry.record.id) === undefined) {
      await keepers.end(entry.record.id);
      // Another id: what kernels may still have mapped is not this memory.
      const record = { ...entry.record, id: randomBytes(16).toString('hex') };
      store.put(record);
      entry.lostId = entry.record.id;
      entry.record = record;
      await keepers.start(record.id, record.sizeBytes);
      this.#tell('channel-error', entry, 'its memory was lost with the host; it is empty now');
    }
    this.#map(entry);
    this.#describe(entry);
    const { producer, consumer } = this.#statistics(entry) ?? {};
    if (producer !== undefined) entry.told.send = { epoch: producer.epoch, state: producer.state };
    if (consumer !== undefined) entry.told.recv = { epoch: consumer.epoch, state: consumer.state };
  }

  /** Starts keepers anew for memory that is still mapped here. */
  #keepAll(): void {
    this.#cancelKeeping = undefined;
    if (this.#closed) return;
    void this.#mutex
      .run(async () => {
        const { keepers, journal } = this.#options;
        for (const entry of this.#entries.values()) {
          const { memory, record } = entry;
          if (memory === undefined || this.#closed || keepers.find(record.id) !== undefined) continue;
          try {
            await keepers.start(record.id, record.sizeBytes, ownPath(memory));
            // What the next daemon has described by now is not this one's any more.
            if (this.#closed) return;
            this.#describe(entry);
            journal.info('a channel has a new keeper', { channel: record.name });
          } catch (error) {
            journal.error(`keeping the memory of the channel ${record.name}`, error);
          }
        }
      })
      .finally(() => {
        this.#showAgain();
        if (!this.#closed) this.#cancelKeeping = this.#options.clock.after(KEEP_MS, () => this.#keepAll());
      });
  }

  /** Asks again who did not answer: a guest may have been paused. */
  #showAgain(): void {
    for (const [instance, kernel] of this.#kernels)
      for (const entry of this.#entries.values()) if (kernel.isDue(entry.record.id)) void this.#show(entry, instance);
  }

  /** Makes the channel known to the host's processes, for the sides that are the host's. */
  #describe({ record, memory }: Entry): void {
    const path = this.#options.keepers.find(record.id);
    describeChannel(this.#options.directory, BELL_FIFO, record, path && memory && { path, bytes: memory.bytes });
  }

  #regionFor({ record, memory }: Entry, instance: string): SharedRegion | undefined {
    const side = SIDES.find((each) => endOf(record, each).owner === instance);
    if (instance === HOST || side === undefined || memory === undefined) return undefined;
    const path = this.#options.keepers.find(record.id) ?? ownPath(memory);
    const { id, name } = record;
    return { id, name, slot: endOf(record, side).slot!, path, bytes: memory.bytes, side };
  }

  /** Shows the channel to the kernel of an instance if it runs and does not see it. Never with the lock held. */
  async #show(entry: Entry, instance: string): Promise<void> {
    const kernel = this.#kernels.get(instance);
    await kernel?.show(() => {
      const region =
        this.#kernels.get(instance) === kernel && this.#isThere(entry) ? this.#regionFor(entry, instance) : undefined;
      return region && { region, lostId: entry.lostId };
    });
  }

  #isThere(entry: Entry): boolean {
    return !this.#closed && !entry.record.removing && this.#entries.get(entry.record.name) === entry;
  }

  /** Removes all of it but what guests see, and asks them to let go of that. `told`: whether its removal is news. */
  async #erase(entry: Entry, told = true): Promise<Promise<void>[]> {
    const { records: store, keepers, directory } = this.#options;
    const { record } = entry;
    const { id, name } = record;
    if (entry.memory !== undefined) {
      removeRing(entry.memory);
      for (const side of SIDES) this.#wake(entry, side);
    }
    rmSync(join(directory, name), { force: true });
    const hidden = SIDES.flatMap((side) => {
      const kernel = this.#kernels.get(endOf(record, side).owner);
      return kernel === undefined ? [] : [kernel.hide(record)];
    });
    this.#drop(entry);
    await keepers.end(id);
    store.delete(id);
    this.#entries.delete(name);
    if (told) this.#tell('channel-removed', entry, '');
    return hidden;
  }

  #statistics({ memory }: Entry): RingStatistics | undefined {
    return memory === undefined ? undefined : statisticsOf(memory);
  }

  #status(entry: Entry): ChannelStatus {
    const { record, memory } = entry;
    const see = (side: ChannelSide) => ({
      ...this.#visibility(entry, endOf(record, side).owner),
      inUse: this.#isInUse(entry, side),
    });
    return channelStatus(record, memory, { send: see('send'), recv: see('recv') });
  }

  #visibility({ record, memory }: Entry, owner: string): Omit<Seen, 'inUse'> {
    if (memory === undefined) return { visible: 'absent', reason: 'its memory is gone' };
    if (owner === HOST) return { visible: 'attached', reason: null };
    const kernel = this.#kernels.get(owner);
    if (kernel === undefined) return { visible: 'absent', reason: `no kernel of ${owner} runs` };
    if (kernel.sees(record.id)) return { visible: 'attached', reason: null };
    return { visible: 'pending', reason: kernel.reason(record.id) };
  }

  /** Whether a program has the side open, as far as can be told from the host. */
  #isInUse(entry: Entry, side: ChannelSide): boolean {
    const { memory, record } = entry;
    if (memory === undefined) return false;
    const { owner } = endOf(record, side);
    if (owner === HOST) return memory.isLocked(side === 'send' ? 0 : 1);
    if (this.#kernels.get(owner)?.sees(record.id) !== true) return false;
    return sideOf(this.#statistics(entry), side).state === 'open';
  }

  #hostBell(number: number): void {
    const entry = [...this.#entries.values()].find(({ record }) => record.number === number);
    if (entry === undefined) return;
    this.#news(entry);
    const [side, ...others] = SIDES.filter((each) => endOf(entry.record, each).owner === HOST);
    // Two processes of the host wake each other without us.
    if (side !== undefined && others.length === 0) entry.throttles[otherSide(side)].ring();
  }

  #guestBell(instance: string, from: KernelView, slot: number): void {
    if (this.#kernels.get(instance) !== from) return;
    for (const entry of this.#entries.values()) {
      for (const side of SIDES) {
        const { owner, slot: own } = endOf(entry.record, side);
        if (owner !== instance || own !== slot) continue;
        this.#news(entry);
        entry.throttles[otherSide(side)].ring();
      }
    }
  }

  /** Wakes who sleeps on `side`. */
  #wake({ record, memory }: Entry, side: ChannelSide): void {
    const { owner, slot } = endOf(record, side);
    if (owner !== HOST) this.#kernels.get(owner)?.kernel.guest.bell(slot!);
    else if (memory !== undefined) wakeSide(memory, side);
  }

  /** Looks at the header and tells what has changed, at most once a second: a hostile end can change it at will. */
  #news(entry: Entry): void {
    const { clock } = this.#options;
    if (entry.cancelNews !== undefined) return;
    const left = entry.toldAt + NEWS_MS - clock.now();
    if (left > 0) {
      entry.cancelNews = clock.after(left, () => {
        entry.cancelNews = undefined;
        this.#news(entry);
      });
      return;
    }
    if (entry.record.removing) return;
    const statistics = this.#statistics(entry);
    for (const side of SIDES) {
      const { epoch, pid, ...read } = sideOf(statistics, side);
      const state = statistics === undefined ? 'error' : read.state;
      const before = entry.told[side];
      if (before.epoch === epoch && before.state === state) continue;
      entry.told[side] = { epoch, state };
      entry.toldAt = clock.now();
      const who = `${side} side (${endOf(entry.record, side).owner})`;
      if (state === 'open') this.#tell('channel-attached', entry, `${who}: process ${pid}, epoch ${epoch}`);
      else if (state === 'closed') this.#tell('channel-closed', entry, who);
      else if (state === 'detached') this.#tell('channel-detached', entry, who);
      else if (before.state !== 'error')
        this.#tell('channel-error', entry, faultOf(entry.record, entry.memory, statistics) ?? who);
    }
  }

  #tell(type: Parameters<EventLog['tell']>[0]['type'], { record }: Entry, message: string): void {
    const { events, clock } = this.#options;
    events.tell({ at: timestamp(clock), type, name: record.name, id: record.id, message });
  }
}

/** All pages of a channel are taken at once: refuses what the machine does not have. */
function checkMemory(sizeBytes: number): void {
  const available = Number(/^MemAvailable:\s+(\d+) kB$/m.exec(readFileSync('/proc/meminfo', 'latin1'))?.[1]) * 1024;
  if (!(available < sizeBytes + SPARE_BYTES)) return;
  throw new PolykernelError('unavailable', `${formatBytes(available)} of memory are available on this machine`, {
    field: 'sizeBytes',
    value: sizeBytes,
    hint: 'Ask for a smaller channel, or end what is not needed.',
  });
}

/** As other processes of this user can open it while this one runs. */
const ownPath = ({ fd }: SharedMemory): string => `/proc/${process.pid}/fd/${fd}`;
