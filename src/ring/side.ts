/** What producer and consumer have in common: their lines in the header, faults, sleeping and leaving. */
import { PolykernelError } from '../sys/errors.ts';
import type { SharedMemory } from '../sys/memory.ts';
import { type Bell, FutexBell } from './bell.ts';
import * as layout from './layout.ts';

/** Looks at the ring before sleeping: about 20 us, what a sleep and a wake-up cost together. */
const SPINS = 2000;
/** Of these the first ones do not pause: a message that comes within 0.3 us is seen at once. */
export const BUSY_SPINS = 64;
/** Turns of the event loop before an asynchronous wait sleeps. */
const YIELDS = 16;
/** The same where waking is relayed, and naps of a blocking wait there: about a millisecond. */
const RELAYED_YIELDS = 200;
const RELAYED_NAPS = 10;
const NAP_MS = 0.05;
const napping = new Int32Array(new SharedArrayBuffer(4));
/** Node 24 has no Atomics.pause. */
const pause: () => void = (Atomics as { pause?: () => void }).pause ?? (() => {});

const MESSAGES = 0;
const BYTES = 1;
const STALLS = 2;
const DROPS = 3;
const BELLS = 4;

export interface AttachOptions {
  /** How the two sides wake each other; default: by futex, which both must be able to reach. Owned by the side. */
  bell?: Bell;
  /** Looks at the ring before sleeping. 0 is right when both ends share one CPU. */
  spins?: number;
  /** Disposed with the side, such as the memory when nobody else needs it. */
  owned?: Disposable;
}

export abstract class Side implements Disposable {
  // Declared, so that a field begins with what the constructor gives it: V8 then knows that it holds a small number or one
  // kind of array, and does not look at each use. A field that begins undefined costs a message a sixth of its time.
  /** All of the ring's memory, in words. */
  declare protected readonly words: Int32Array;
  /** The data area. Offsets from `reserve` and `peek` are indices of it. */
  declare readonly data: Uint8Array<ArrayBuffer>;
  declare protected readonly dataBytes: number;
  declare protected readonly mask: number;
  /** Longest message in bytes. */
  declare readonly largest: number;
  /** Mine, wrapping at 2^32, as a signed number. */
  protected position = 0;
  /** As it is in memory: a signed number. */
  declare private readonly epochWord: number;
  declare private readonly rawEpoch: number;
  protected fault = 0;
  declare protected readonly attention: number;
  declare protected readonly theirAttention: number;
  declare protected readonly positionWord: number;
  declare protected readonly theirPositionWord: number;
  declare protected readonly theirWakeAt: number;
  declare private readonly counters: BigUint64Array;
  declare private readonly countersWord: number;
  declare private messagesLow: number;
  declare private bytesLow: number;
  declare private readonly mine: layout.SideOffsets;
  declare private readonly theirs: layout.SideOffsets;
  declare private readonly bell: Bell;
  declare private readonly spins: number;
  declare private readonly owned: Disposable | undefined;
  private left = false;

  protected constructor(
    memory: SharedMemory,
    mine: layout.SideOffsets,
    theirs: layout.SideOffsets,
    options: AttachOptions,
  ) {
    this.dataBytes = layout.readHeader(memory.buffer);
    this.mask = this.dataBytes - 1;
    this.largest = layout.largestMessage(this.dataBytes);
    this.words = new Int32Array(memory.buffer, 0, (layout.HEADER_BYTES + this.dataBytes) / 4);
    this.data = new Uint8Array(memory.buffer, layout.HEADER_BYTES, this.dataBytes);
    this.counters = new BigUint64Array(memory.buffer, mine.statistics, 5);
    this.countersWord = mine.statistics / 4;
    this.messagesLow = this.words[this.countersWord]!;
    this.bytesLow = this.words[this.countersWord + 2]!;
    this.mine = mine;
    this.theirs = theirs;
    this.attention = mine.attention / 4;
    this.theirAttention = theirs.attention / 4;
    this.positionWord = mine.position / 4;
    this.theirPositionWord = theirs.position / 4;
    this.theirWakeAt = theirs.wakeAt / 4;
    this.spins = options.spins ?? SPINS;
    this.owned = options.owned;
    for (const at of [mine, theirs])
      if (this.word(at.state) === layout.ERROR) throw faultError(this.word(at.fault), 'the ring was left in error');
    this.bell = options.bell ?? new FutexBell(memory, mine, theirs);
    this.epochWord = mine.epoch / 4;
    this.rawEpoch = (Atomics.add(this.words, this.epochWord, 1) + 1) | 0;
    this.words[mine.pid / 4] = process.pid;
    this.words[mine.state / 4] = layout.OPEN;
    Atomics.store(this.words, this.attention, layout.AWAKE);
  }

  protected word(offset: number): number {
    return Atomics.load(this.words, offset / 4);
  }

  /** How often a process has attached as this side, this one included. */
  get epoch(): number {
    return this.rawEpoch >>> 0;
  }

  /** How often a process has attached as the other side: a change says that it was replaced. */
  get peerEpoch(): number {
    return this.word(this.theirs.epoch) >>> 0;
  }

  /** Ends the ring for both sides and throws. */
  protected fail(fault: number): never {
    if (this.fault === 0) {
      this.fault = fault;
      // Who usurped this side owns its words now.
      if (fault !== layout.USURPED) {
        this.words[this.mine.fault / 4] = fault;
        this.words[this.mine.state / 4] = layout.ERROR;
        Atomics.store(this.words, this.attention, layout.GONE);
        this.wakePeer();
        this.bell.changed?.();
      }
    }
    throw faultError(this.fault, 'the ring is in error');
  }

  /** Throws when this side has left, failed, or was attached by another process since. */
  protected checkSelf(): void {
    if (this.left) throw new PolykernelError('conflict', 'this side of the ring is closed');
    if (this.fault !== 0) this.fail(this.fault);
    this.checkOffice();
  }

  /** Throws when another process has attached as this side. A look at a line that nobody else writes: cheap enough for each message. */
  protected checkOffice(): void {
    if (this.words[this.epochWord] !== this.rawEpoch) this.fail(layout.USURPED);
  }

  /** Whether the other side has closed. Throws `protocol` when it has failed or writes nonsense. */
  protected peerClosed(): boolean {
    this.checkSelf();
    const state = this.word(this.theirs.state);
    if (state === layout.ERROR) {
      this.fault = this.word(this.theirs.fault);
      throw faultError(this.fault, 'the other side put the ring in error');
    }
    if (state < 0 || state > layout.ERROR) this.fail(layout.BAD_STATE);
    return state === layout.CLOSED;
  }

  /**
   * Counts one message of mine. A store of a counter's low half is a store of the counter as long as the half does not wrap,
   * and numbers need no BigInt, which V8 keeps out of the heap only in its last compiler.
   */
  protected countMessage(length: number): void {
    const { words, countersWord } = this;
    const messages = (this.messagesLow + 1) | 0;
    const bytes = (this.bytesLow + length) | 0;
    this.messagesLow = messages;
    this.bytesLow = bytes;
    if (messages === 0 || bytes >>> 0 < length) this.carry(length);
    words[countersWord] = messages;
    words[countersWord + 2] = bytes;
  }

  /** Counts a message that wraps a low half. */
  private carry(length: number): void {
    this.counters[MESSAGES]!++;
    this.counters[BYTES]! += BigInt(length);
  }

  protected countDrop(): void {
    this.counters[DROPS]!++;
  }

  /** Wakes the other side when it sleeps; of several calls at once one rings. */
  protected wakePeer(): void {
    const { words, theirAttention } = this;
    if (Atomics.compareExchange(words, theirAttention, layout.ASLEEP, layout.AWAKE) !== layout.ASLEEP) return;
    this.counters[BELLS]!++;
    this.bell.ring();
  }

  /**
   * Rings whether or not the other side seems to sleep: a predecessor may have died after it had taken the sleeper's flag
   * and before it rang.
   */
  protected callPeer(): void {
    Atomics.compareExchange(this.words, this.theirAttention, layout.ASLEEP, layout.AWAKE);
    this.bell.ring();
    this.bell.changed?.();
  }

  /** Whether what is waited for is there: looked at in a tight loop. */
  protected abstract arrived(): boolean;
  /** Whether waiting is over, by the end of the stream too. Throws when it never will be. */
  protected abstract ready(): boolean;
  /** For the other side: the position from which on this one wants to be woken. */
  protected abstract wakeAt(): number;

  /** Blocks the thread until ready() or `timeoutMs` have passed: spins, then sleeps. */
  protected waitBlocking(timeoutMs?: number): boolean {
    if (this.spin(this.spins) || (this.bell.relayed && this.doze())) return true;
    this.counters[STALLS]!++;
    const deadline = timeoutMs === undefined ? Number.POSITIVE_INFINITY : performance.now() + timeoutMs;
    for (;;) {
      const left = deadline - performance.now();
      if (left <= 0) return this.ready();
      if (this.arm()) return true;
      this.bell.park(left === Number.POSITIVE_INFINITY ? undefined : left);
      this.disarm();
      if (this.ready()) return true;
    }
  }

  /** The same without blocking the event loop: spins briefly, lets the loop turn, then sleeps. Rejects with signal.reason. */
  protected async waitAsync(signal?: AbortSignal): Promise<void> {
    const turns = this.bell.relayed ? RELAYED_YIELDS : YIELDS;
    for (let turn = 0; turn < turns; turn++) {
      signal?.throwIfAborted();
      if (this.spin(BUSY_SPINS)) return;
      await new Promise(setImmediate);
    }
    this.counters[STALLS]!++;
    for (;;) {
      signal?.throwIfAborted();
      if (this.arm()) return;
      await this.bell.parked(signal);
      this.disarm();
      if (this.ready()) return;
    }
  }

  /** Looks now and then, and leaves the CPU to others in between. */
  private doze(): boolean {
    for (let nap = 0; nap < RELAYED_NAPS; nap++) {
      Atomics.wait(napping, 0, 0, NAP_MS);
      if (this.ready()) return true;
    }
    return false;
  }

  private spin(times: number): boolean {
    for (let i = 0; i < times; i++) {
      if (this.arrived()) return true;
      if (i >= BUSY_SPINS) pause();
    }
    return this.ready();
  }

  /** Says that this side sleeps, then looks once more: the other side looks at the flag after each of its steps. */
  private arm(): boolean {
    this.words[this.mine.wakeAt / 4] = this.wakeAt();
    Atomics.store(this.words, this.attention, layout.ASLEEP);
    let ready = true;
    try {
      ready = this.ready();
    } finally {
      if (ready) this.disarm();
    }
    return ready;
  }

  private disarm(): void {
    Atomics.compareExchange(this.words, this.attention, layout.ASLEEP, layout.AWAKE);
  }

  /** Ends the stream: the consumer still gets what was sent, a producer's next send throws. */
  close(): void {
    this.leave(layout.CLOSED);
  }

  /** Leaves without ending the stream: a successor attaches and goes on. */
  [Symbol.dispose](): void {
    this.leave(layout.DETACHED);
  }

  /** Makes known what is done and not yet told. */
  protected abstract flush(): void;

  private leave(state: number): void {
    if (this.left) return;
    this.left = true;
    if (this.fault === 0 && this.words[this.epochWord] === this.rawEpoch) {
      this.flush();
      Atomics.store(this.words, this.mine.state / 4, state);
      Atomics.store(this.words, this.attention, layout.GONE);
      this.wakePeer();
      this.bell.changed?.();
    }
    this.bell[Symbol.dispose]();
    this.owned?.[Symbol.dispose]();
  }
}

function faultError(fault: number, what: string): PolykernelError {
  const reason = layout.FAULTS[fault] ?? `unknown fault ${fault}`;
  if (fault === layout.USURPED) return new PolykernelError('conflict', `${what}: ${reason}`);
  return new PolykernelError('protocol', `${what}: ${reason}`, {
    hint:
      fault === layout.REMOVED
        ? 'Create the channel again if it is still needed.'
        : 'One end broke the layout of docs/ring.md; make the channel anew.',
  });
}
