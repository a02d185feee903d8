/** The sending end of a ring. One per ring; a second one to attach puts the first out of office. */
import { PolykernelError } from '../sys/errors.ts';
import type { SharedMemory } from '../sys/memory.ts';
import { acquire, Copier } from './access.ts';
import * as layout from './layout.ts';
import { type AttachOptions, Side } from './side.ts';

/** Constants of this module: V8 reads an imported one from memory at each use. */
const { ASLEEP, BAD_COMMIT, BAD_POSITION, CONSUMER, MESSAGE, MESSAGE_HEADER_BYTES, messageSpan, PRODUCER, WRAP } =
  layout;

/** What a full ring means to a sender: wait for room, drop and count, or an error. */
export type BackPressure = 'wait' | 'drop' | 'error';

export interface ProducerOptions extends AttachOptions {
  /** Default: `wait`, which blocks the thread; sendAsync() is for event loops. */
  backPressure?: BackPressure;
}

export class Producer extends Side {
  /** The data area in words. */
  declare private readonly dataWords: Int32Array;
  declare private readonly backPressure: BackPressure;
  /** How far the consumer was when last looked: its line is touched only when the ring seems full. */
  declare private released: number;
  /** Reserved: offset of the message's header, and its bytes with that. */
  private start = 0;
  private span = 0;
  /** Word that publishes the open batch, and its value; 0 when none is open. */
  private chainIndex = 0;
  private chainWord = 0;
  /** Length for which ready() looks. */
  private wanted = 0;
  declare private readonly copier: Copier;

  /** Attaches and goes on after the last committed message. Throws `protocol` for what is no ring or in error. */
  constructor(memory: SharedMemory, options: ProducerOptions = {}) {
    super(memory, PRODUCER, CONSUMER, options);
    this.backPressure = options.backPressure ?? 'wait';
    this.copier = new Copier(this.data);
    this.dataWords = new Int32Array(memory.buffer, layout.HEADER_BYTES, this.dataBytes / 4);
    this.released = Atomics.load(this.words, this.theirPositionWord);
    this.position = this.released;
    if ((this.position & 7) !== 0) this.fail(BAD_POSITION);
    this.walk();
    this.words[this.positionWord] = this.position;
    this.callPeer();
  }

  /** Finds the first word that is not committed: a predecessor may have died before it could say where. */
  private walk(): void {
    for (;;) {
      const offset = this.position & this.mask;
      const word = Atomics.load(this.dataWords, offset >> 2);
      if (word === 0) return;
      const span =
        word === WRAP && offset >= this.dataBytes / 2
          ? this.dataBytes - offset
          : messageSpan(word, offset, this.dataBytes, this.largest);
      if (span === 0 || (this.position + span - this.released) >>> 0 > this.dataBytes) this.fail(BAD_COMMIT);
      this.position = (this.position + span) | 0;
    }
  }

  /**
   * Sends a copy of `bytes`; `tag` is 32 bits that travel along. Returns false when a full ring made it drop the message.
   * Throws `conflict` when the ring is full with back-pressure `error` or the consumer closed, `invalid` when too long.
   */
  send(bytes: Uint8Array, tag = 0): boolean {
    const { length } = bytes;
    if (this.reserve(length) < 0 && !this.makeRoom(length)) return false;
    this.copier.copyIn(bytes, this.start + MESSAGE_HEADER_BYTES, length);
    this.stage(length, tag);
    this.publish();
    return true;
  }

  /** Sends all with one publication as long as there is room. Returns how many were not dropped. */
  sendBatch(messages: readonly Uint8Array[], tag = 0): number {
    let sent = 0;
    try {
      for (const bytes of messages) {
        if (this.reserve(bytes.length) < 0) {
          // The consumer can make room only by taking what is already here.
          this.publish();
          if (!this.makeRoom(bytes.length)) continue;
        }
        this.copier.copyIn(bytes, this.start + MESSAGE_HEADER_BYTES, bytes.length);
        this.stage(bytes.length, tag);
        sent++;
      }
    } finally {
      this.publish();
    }
    return sent;
  }

  /** Sends without blocking the thread. Rejects as send() throws, and with signal.reason. */
  async sendAsync(bytes: Uint8Array, tag = 0, signal?: AbortSignal): Promise<void> {
    while (this.reserve(bytes.length) < 0) {
      this.wanted = bytes.length;
      await this.waitAsync(signal);
    }
    this.copier.copyIn(bytes, this.start + MESSAGE_HEADER_BYTES, bytes.length);
    this.stage(bytes.length, tag);
    this.publish();
  }

  /**
   * Finds room for a message of up to `length` bytes: its offset in `data`, where to write it before commit(), or -1 when
   * the ring is full. Reserving again without commit() gives the room back. Throws as send().
   */
  reserve(length: number): number {
    if (length > this.largest || this.fault !== 0) this.refuse(length);
    const { position, dataBytes } = this;
    const span = (length + 15) & ~7;
    const offset = position & this.mask;
    const end = dataBytes - offset;
    const need = span <= end ? span : end + span;
    if ((position + need + MESSAGE_HEADER_BYTES - this.released) >>> 0 > dataBytes && !this.look(need)) return -1;
    // Neither awake nor asleep.
    if (this.words[this.theirAttention]! >>> 0 > ASLEEP) this.checkConsumer();
    this.span = span;
    this.start = span <= end ? offset : 0;
    return this.start + MESSAGE_HEADER_BYTES;
  }

  /** Makes the reserved message visible, with its first `length` bytes, and all that were staged before. */
  commit(length: number, tag = 0): void {
    this.stage(length, tag);
    this.publish();
  }

  /** Ends the reserved message with its first `length` bytes, to become visible with the next publish() or commit(). */
  stage(length: number, tag = 0): void {
    if (length < 0 || length + MESSAGE_HEADER_BYTES > this.span)
      throw new PolykernelError('invalid', `${length} bytes were not reserved`);
    const { dataWords, position, start } = this;
    const first = position & this.mask;
    let word = MESSAGE | length;
    let span = (length + 15) & ~7;
    dataWords[(start >> 2) + 1] = tag;
    if (start !== first) {
      // The end was too short: a wrap marker leads to the message.
      dataWords[start >> 2] = word;
      word = WRAP;
      span += this.dataBytes - first;
    }
    // The consumer cannot get to any word of a batch before its first, which publish() stores.
    if (this.chainWord === 0) {
      this.chainIndex = first >> 2;
      this.chainWord = word;
    } else {
      dataWords[first >> 2] = word;
    }
    this.position = (position + span) | 0;
    this.span = 0;
    this.countMessage(length);
  }

  /** Makes all staged messages visible at once. One publication costs about as much as writing three messages. */
  publish(): void {
    const { words, dataWords, chainWord, position } = this;
    if (chainWord === 0) return;
    this.chainWord = 0;
    this.checkOffice();
    dataWords[(position & this.mask) >> 2] = 0;
    // Sequentially consistent: a release for the message, and ordered before the look at the sleeper's flag.
    Atomics.store(dataWords, this.chainIndex, chainWord);
    words[this.positionWord] = position;
    if (acquire(words, this.theirAttention) === ASLEEP) this.wakePeer();
  }

  /** Looks how far the consumer is, and whether `need` bytes and the empty word after them fit now. */
  private look(need: number): boolean {
    const released = Atomics.load(this.words, this.theirPositionWord);
    // The consumer may only move forwards, by whole words, and not past this side.
    if ((released & 7) !== 0 || (released - this.released) >>> 0 > (this.position - this.released) >>> 0)
      this.fail(BAD_POSITION);
    this.released = released;
    if ((this.position + need + MESSAGE_HEADER_BYTES - released) >>> 0 <= this.dataBytes) return true;
    this.checkConsumer();
    return false;
  }

  /** Acts on a full ring. Returns whether the message has room now. */
  private makeRoom(length: number): boolean {
    if (this.backPressure === 'drop') {
      this.countDrop();
      return false;
    }
    if (this.backPressure === 'error') {
      throw new PolykernelError('conflict', `the ring is full: no room for ${length} bytes`, {
        hint: 'Send later, make the channel larger, or choose another back-pressure.',
      });
    }
    this.wanted = length;
    return this.waitBlocking();
  }

  private refuse(length: number): never {
    this.checkSelf();
    throw new PolykernelError('invalid', `a message of ${length} bytes does not fit this ring`, {
      field: 'length',
      value: length,
      hint: `The largest has ${this.largest} bytes, half of the ring; split it or make the channel larger.`,
    });
  }

  private checkConsumer(): void {
    if (this.peerClosed()) throw new PolykernelError('conflict', 'the consumer has closed the ring');
  }

  /** Bytes sent and not yet released. */
  get depth(): number {
    return (this.position - Atomics.load(this.words, this.theirPositionWord)) >>> 0;
  }

  protected override flush(): void {
    this.publish();
  }

  protected override arrived(): boolean {
    return this.reserve(this.wanted) >= 0;
  }

  protected override ready(): boolean {
    this.checkSelf();
    return this.arrived();
  }

  /** Half of the ring free, so that one wake-up serves many messages; more when the message needs it. */
  protected override wakeAt(): number {
    const span = (this.wanted + 15) & ~7;
    const end = this.dataBytes - (this.position & this.mask);
    const need = MESSAGE_HEADER_BYTES + (span <= end ? span : end + span);
    return (this.position + Math.max(need, this.dataBytes / 2) - this.dataBytes) | 0;
  }
}
