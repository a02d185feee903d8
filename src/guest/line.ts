/** What the host sends on a guest's control line: in which order, and never more than the guest takes. */
import { type LineShape, NARROW } from './line-shape.ts';
import type { LineSource } from './line-source.ts';
import type { LineMemory } from './memory.ts';
import { HEADER_BYTES, MAX_QUEUED } from './protocol.ts';

/** Bulk data waits for this much room, so that headers do not eat the window. */
const MIN_BULK_ROOM = 256;
/** Who moves so much goes on doing so. */
const BULK_BYTES = 2 ** 20;
/** The largest frame of a state: a header and two numbers. */
const MIN_STATE_ROOM = HEADER_BYTES + 8;

const NOTHING = Buffer.alloc(0);

/** A request that waits for room on the line, or has left. */
export interface Request {
  readonly frames: Buffer[];
  /** Called when its last frame is on its way. */
  readonly onSent: (() => void) | undefined;
  begun: boolean;
}

/**
 * The way towards the guest. INVARIANTS: never more bytes are unacknowledged than the guest takes, because a UML line that
 * is left unread for longer stops for ever; what waits is at most MAX_QUEUED bytes of requests and one entry a source;
 * states go before requests, these in order, and both before bulk data; sources take turns.
 */
export class LineWriter {
  readonly #write: (batch: readonly Buffer[]) => void;
  readonly #requests: Request[] = [];
  readonly #states = new Set<LineSource>();
  readonly #sources = new Set<LineSource>();
  /** Of `#sources`, those that wait for a free slot of the memory. */
  readonly #waiting = new Set<LineSource>();
  #memory: LineMemory | undefined;
  /** Towards the guest, and from it. */
  #sharesMemory = false;
  #takesMemory = false;
  #moved = 0;
  #takes = NARROW;
  #queued = 0;
  #sent = 0;
  #acked = 0;
  #open = false;
  /** Told of every acknowledgement that tells something new. */
  onProgress: () => void = () => {};
  /** Told once a connection that processes have moved BULK_BYTES without memory beside the line. */
  onBulk: () => void = () => {};

  constructor(write: (batch: readonly Buffer[]) => void) {
    this.#write = write;
  }

  /** Bytes of requests that wait. */
  get queued(): number {
    return this.#queued;
  }

  /** What the guest takes; before it was ever connected, what any does. */
  get takes(): LineShape {
    return this.#takes;
  }

  /** Whether there is memory for share(). */
  get shares(): boolean {
    return this.#sharesMemory;
  }

  /** The guest is being told of memory of so many slots: it may answer by using it. */
  expectMemory(slots: number): void {
    this.#takesMemory = this.#memory?.open(slots) === true;
  }

  /** It has it. */
  beginSharing(): void {
    this.#sharesMemory = this.#takesMemory;
  }

  /** Input or output of a process. */
  moved(bytes: number): void {
    if (this.#moved >= BULK_BYTES) return;
    this.#moved += bytes;
    if (this.#moved >= BULK_BYTES && !this.#takesMemory) this.onBulk();
  }

  beats(): number | undefined {
    return this.#memory?.beats();
  }

  /** Memory shared with the guest, from the next open() on; closed by letGo(). */
  useMemory(memory: LineMemory): void {
    this.letGo();
    this.#memory = memory;
  }

  letGo(): void {
    this.#memory?.close();
    this.#memory = undefined;
    this.#sharesMemory = this.#takesMemory = false;
  }

  /** Starts anew after the guest answered a HELLO: counters at zero, no request or state queued. */
  open(takes = NARROW): void {
    this.close();
    this.#takes = takes;
    this.#sharesMemory = this.#takesMemory = this.#memory?.open(takes.slots) === true;
    this.#moved = 0;
    this.#open = true;
  }

  /** Sends nothing more; what was sent and shared stays as it is. */
  hush(): void {
    this.#open = false;
  }

  close(): void {
    this.#open = false;
    this.#requests.length = 0;
    this.#states.clear();
    for (const source of this.#waiting) this.#sources.add(source);
    this.#waiting.clear();
    this.#queued = 0;
    this.#sent = 0;
    this.#acked = 0;
  }

  /** Queues a request, to be sent whole. Undefined when the queue has no room for it: nothing was queued then. */
  request(frames: Buffer[], onSent?: () => void): Request | undefined {
    const size = sizeOf(frames);
    if (this.#queued + size > MAX_QUEUED) return undefined;
    const request = { frames, onSent, begun: false };
    if (!this.#open) return request;
    this.#queued += size;
    this.#requests.push(request);
    this.pump();
    return request;
  }

  /** Takes a request back. False when some of it is on its way: then all of it goes. */
  withdraw(request: Request): boolean {
    if (request.begun) return false;
    const index = this.#requests.indexOf(request);
    if (index < 0) return false;
    this.#requests.splice(index, 1);
    this.#queued -= sizeOf(request.frames);
    return true;
  }

  /** Says that `source` has a state to tell, in frames of at most 24 bytes; it goes before all else. */
  state(source: LineSource): void {
    if (!this.#open) return;
    this.#states.add(source);
    this.pump();
  }

  /** Says that `source` has (or may again have) bulk data to send; it gets at least 256 bytes of room. */
  ready(source: LineSource): void {
    this.#sources.add(source);
    this.pump();
  }

  /** Puts bulk data into shared memory. False, and `source` is asked again later, when there is no room now. */
  share(source: LineSource, data: Uint8Array): boolean {
    const put = this.#memory?.put(data) === true;
    if (!put) this.#waiting.add(source);
    return put;
  }

  /**
   * What a frame of the guest says is in shared memory; nothing of it where nobody `wants` it, which costs no copy then.
   * Undefined when there can be no such thing.
   */
  take(payload: Buffer, wants = true): Buffer | undefined {
    const memory = this.#takesMemory ? this.#memory : undefined;
    if (memory === undefined || payload.length !== 4) return undefined;
    const length = payload.readUInt32LE();
    const data = wants ? memory.take(length) : memory.skip(length) ? NOTHING : undefined;
    if (memory.isDue) this.state(memory);
    return data;
  }

  remove(source: LineSource): void {
    this.#sources.delete(source);
    this.#waiting.delete(source);
  }

  /** Takes the guest's count of bytes read, modulo 2^32. False when it acknowledges what was never sent. */
  ack(count: number): boolean {
    const delta = (count - this.#acked) >>> 0;
    if (delta > (this.#sent - this.#acked) >>> 0) return false;
    this.#acked = count;
    if (delta > 0) this.onProgress();
    if (this.#memory?.acknowledged(count)) {
      for (const source of this.#waiting) this.#sources.add(source);
      this.#waiting.clear();
    }
    this.pump();
    return true;
  }

  /** Sends what the window allows. */
  pump(): void {
    if (!this.#open) return;
    const batch: Buffer[] = [];
    const sent: (() => void)[] = [];
    let room = this.#takes.window - ((this.#sent - this.#acked) >>> 0);
    const take = (frame: Buffer | readonly Buffer[]) => {
      const pieces = Array.isArray(frame) ? (frame as readonly Buffer[]) : [frame as Buffer];
      batch.push(...pieces);
      const size = sizeOf(pieces);
      room -= size;
      this.#sent = (this.#sent + size) >>> 0;
      this.#memory?.sent(this.#sent);
    };
    const takeTurns = (sources: Set<LineSource>, least: number) => {
      for (const source of sources) {
        if (room < least) break;
        sources.delete(source);
        const frame = source.nextFrame(room);
        if (frame === undefined) continue;
        take(frame);
        sources.add(source); // to the end of the queue, and this loop comes round to it again
      }
    };
    takeTurns(this.#states, MIN_STATE_ROOM);
    for (let first = this.#requests[0]; first !== undefined; first = this.#requests[0]) {
      const { frames } = first;
      if (frames[0]!.length > room) break;
      first.begun = true;
      this.#queued -= frames[0]!.length;
      take(frames.shift()!);
      if (frames.length > 0) continue;
      this.#requests.shift();
      if (first.onSent !== undefined) sent.push(first.onSent);
    }
    if (this.#requests.length === 0) takeTurns(this.#sources, MIN_BULK_ROOM);
    if (batch.length > 0) this.#write(batch);
    // These may have states to tell, which comes round here again.
    for (const tell of sent) tell();
  }
}

const sizeOf = (frames: readonly Buffer[]): number => frames.reduce((sum, { length }) => sum + length, 0);
