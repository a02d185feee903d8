/** The receiving end of a ring. One per ring; a second one to attach puts the first out of office. */
import { PolykernelError } from '../sys/errors.ts';
import type { SharedMemory } from '../sys/memory.ts';
import { acquire, Copier } from './access.ts';
import * as layout from './layout.ts';
import { type AttachOptions, BUSY_SPINS, Side } from './side.ts';

/** Constants of this module: V8 reads an imported one from memory at each use. */
const { ASLEEP, BAD_COMMIT, BAD_POSITION, CONSUMER, LENGTH_MASK, MESSAGE_HEADER_BYTES, messageSpan, PRODUCER, WRAP } =
  layout;
const DATA_WORD = layout.HEADER_BYTES / 4;

export interface ConsumerOptions extends AttachOptions {
  /**
   * Tells the producer of released messages only when they make up an eighth of the ring or no other is there: a third faster,
   * and a successor gets as many again that this consumer was done with. Default: each at once.
   */
  lazyRelease?: boolean;
  /**
   * Where to go on: a position that an earlier consumer stored together with what its last message brought about. What was
   * processed and not yet released is then not seen again. Default: the released position.
   */
  resumeAt?: number;
}

export class Consumer extends Side {
  /** Offset in `data` of the message that peek() found. */
  offset = 0;
  /** The 32 bits that came with the message last peeked at or received. */
  tag = 0;
  /** Its length, or -1 when none is peeked at; and how far the position moves with it. */
  private length = -1;
  private span = 0;
  /** Bytes released before the producer is told, and the position it was told. */
  declare private readonly lazyBytes: number;
  declare private told: number;
  declare private readonly copier: Copier;

  /** Attaches at the released position. Throws `protocol` for what is no ring, or one that is in error. */
  constructor(memory: SharedMemory, options: ConsumerOptions = {}) {
    super(memory, CONSUMER, PRODUCER, options);
    this.position = Atomics.load(this.words, this.positionWord);
    if ((this.position & 7) !== 0) this.fail(BAD_POSITION);
    if (options.resumeAt !== undefined) this.skipTo(options.resumeAt | 0);
    this.told = this.position;
    this.copier = new Copier(this.data);
    this.lazyBytes = options.lazyRelease ? this.dataBytes / 8 : 0;
    this.callPeer();
  }

  /** Position after the last message that release() was called for. It wraps at 2^32. */
  get released(): number {
    return this.position >>> 0;
  }

  /** Position after the peeked message: what to store together with what the message brings about. */
  get end(): number {
    return (this.position + (this.length < 0 ? 0 : this.span)) >>> 0;
  }

  /**
   * Length of the next message, which is at `offset` of `data`; -1 when there is none now. It stays the producer's memory:
   * a hostile one may change it until release(), so copy what is checked before use. Throws `protocol` on garbage.
   */
  peek(): number {
    if (this.length >= 0) return this.length;
    const { words, mask } = this;
    let offset = this.position & mask;
    let word = acquire(words, this.at(offset));
    if (word === 0 || this.fault !== 0) {
      if (this.fault !== 0) this.checkSelf();
      word = Atomics.load(words, this.at(offset));
      if (word === 0) {
        if (this.position !== this.told) this.flush();
        return -1;
      }
    }
    let skipped = 0;
    // A producer wraps only for a message that does not fit the end, so never in the first half.
    if (word === WRAP && offset >= this.dataBytes / 2) {
      skipped = this.dataBytes - offset;
      offset = 0;
      // The marker is stored after the message it leads to, so an empty word here is a broken rule too.
      word = acquire(words, this.at(0));
    }
    const span = messageSpan(word, offset, this.dataBytes, this.largest);
    if (span === 0) this.fail(BAD_COMMIT);
    this.span = skipped + span;
    this.offset = offset + MESSAGE_HEADER_BYTES;
    this.tag = words[this.at(offset + 4)]!;
    this.length = word & LENGTH_MASK;
    return this.length;
  }

  /** Gives the peeked message's memory back: it is done with, no successor will see it. */
  release(): void {
    if (this.length < 0) throw new PolykernelError('conflict', 'there is no message to release: peek first');
    this.position = (this.position + this.span) | 0;
    this.countMessage(this.length);
    this.length = -1;
    if ((this.position - this.told) >>> 0 >= this.lazyBytes) this.flush();
  }

  /**
   * Calls `take` for each message that is there, at most `most`, with its place in `data`, and releases them together: the
   * fastest way to take many. A successor gets all of them again when this process dies before the return. When `take`
   * throws, its message and those after it stay. Returns how many were taken.
   */
  drain(take: (offset: number, length: number, tag: number) => void, most = Number.POSITIVE_INFINITY): number {
    let taken = 0;
    try {
      for (let length = this.peek(); length >= 0; length = this.peek()) {
        take(this.offset, length, this.tag);
        this.position = (this.position + this.span) | 0;
        this.countMessage(length);
        this.length = -1;
        // Half a ring that nobody is told of would stop the producer.
        if (++taken >= most || (this.position - this.told) >>> 0 >= this.dataBytes / 2) break;
      }
    } finally {
      if (this.position !== this.told) this.flush();
    }
    return taken;
  }

  /** Index of the word at `offset` of the data area: of one view, because a second one costs peek() more. */
  private at(offset: number): number {
    return (offset >> 2) + DATA_WORD;
  }

  protected override flush(): void {
    this.checkOffice();
    const { words, position } = this;
    this.told = position;
    // Sequentially consistent: before the look at the sleeper's flag.
    Atomics.store(words, this.positionWord, position);
    if (acquire(words, this.theirAttention) === ASLEEP && ((position - words[this.theirWakeAt]!) | 0) >= 0)
      this.wakePeer();
  }

  /** A copy of the next message, released; undefined when there is none now. */
  receive(): Uint8Array<ArrayBuffer> | undefined {
    const length = this.peek();
    if (length < 0) return undefined;
    const bytes = this.data.slice(this.offset, this.offset + length);
    this.release();
    return bytes;
  }

  /**
   * Copies the next message to the start of `into`, and releases it. Returns its length, or -1 when there is none now.
   * Throws `invalid` when `into` is too short; the message then stays.
   */
  receiveInto(into: Uint8Array): number {
    const length = this.length < 0 ? this.peek() : this.length;
    if (length < 0) return -1;
    if (length > into.length)
      throw new PolykernelError('invalid', `the message has ${length} bytes, and the buffer ${into.length}`);
    this.copier.copyOut(into, this.offset, length);
    this.release();
    return length;
  }

  /** Whether the producer closed and everything was taken. Throws `protocol` when it failed. */
  get ended(): boolean {
    // The state first: what was sent before the close must still be taken.
    return this.peerClosed() && this.peek() < 0;
  }

  /** Blocks the thread until a message is there (true), or the stream ended or `timeoutMs` passed (false). */
  wait(timeoutMs?: number): boolean {
    if (this.peek() >= 0) return true;
    const { words } = this;
    const index = this.at(this.position & this.mask);
    // The other end's answer is often a few hundred nanoseconds away.
    for (let i = 0; i < BUSY_SPINS; i++) if (Atomics.load(words, index) !== 0) return this.peek() >= 0;
    return this.waitBlocking(timeoutMs) && this.peek() >= 0;
  }

  /** Resolves when a message is there or the stream has ended. Rejects with signal.reason. */
  async readable(signal?: AbortSignal): Promise<void> {
    if (!this.ready()) await this.waitAsync(signal);
  }

  /** A copy of the next message, without blocking the thread; undefined when the stream ended. Rejects with signal.reason. */
  async next(signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer> | undefined> {
    if (this.peek() < 0) await this.waitAsync(signal);
    return this.receive();
  }

  /** Messages until the producer closes. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined> {
    for (;;) {
      const bytes = await this.next();
      if (bytes === undefined) return;
      yield bytes;
    }
  }

  /** Messages that are there now. */
  *[Symbol.iterator](): Generator<Uint8Array<ArrayBuffer>, void, undefined> {
    for (let bytes = this.receive(); bytes !== undefined; bytes = this.receive()) yield bytes;
  }

  protected override arrived(): boolean {
    return this.peek() >= 0;
  }

  protected override ready(): boolean {
    return this.peek() >= 0 || this.ended;
  }

  protected override wakeAt(): number {
    return 0;
  }

  private skipTo(target: number): void {
    const from = this.position;
    // Nothing further is there, whatever a producer says: it can have the same messages come again for ever.
    const isThere = (target - from) >>> 0 <= this.dataBytes;
    while (this.position !== target) {
      const ahead = (target - this.position) >>> 0;
      if (!isThere || this.peek() < 0 || this.span > ahead) {
        this.position = from;
        throw new PolykernelError('invalid', `no message of this ring ends at position ${target >>> 0}`, {
          field: 'resumeAt',
          value: target >>> 0,
          hint: `Messages from position ${from >>> 0} on are there.`,
        });
      }
      this.position = (this.position + this.span) | 0;
      this.length = -1;
    }
    Atomics.store(this.words, this.positionWord, this.position);
  }
}
