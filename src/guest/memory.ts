/**
 * Memory that the host shares with a guest, for what is too much for its line: slots towards the guest, then as many
 * towards the host. What is in them is told of by frames on the line, in order, so that a slot needs no name.
 */
import { SharedMemory } from '../sys/memory.ts';
import { pieceOf } from '../sys/pieces.ts';
import type { LineSource } from './line-source.ts';
import { encodeFrame, SLOT_BYTES, ToGuest, u32, WIDEST } from './protocol.ts';

const slotBytes = (slots: number): number => 2 * slots * SLOT_BYTES;
/** Behind the slots, with one word that grows as long as the agent goes on. Kernels that an older daemon has started have none. */
const BEAT_PAGE_BYTES = 4096;

/** Bytes of memory with so many slots in each direction, from 1 to 64. */
export const lineMemoryBytes = (slots: number, hasBeat = true): number =>
  slotBytes(slots) + (hasBeat ? BEAT_PAGE_BYTES : 0);

/** Slots in each direction that memory of so many bytes has. */
const slotsIn = (bytes: number): number => Math.floor(bytes / slotBytes(1));

/** Whether lineMemoryBytes() gives that number: also of a kernel that another version has started, which has as many slots as it has. */
export const isLineMemory = (bytes: number): boolean => {
  const slots = slotsIn(bytes);
  return (
    slots > 0 && slots <= WIDEST.slots && [true, false].some((hasBeat) => lineMemoryBytes(slots, hasBeat) === bytes)
  );
};

/**
 * The host's side. INVARIANTS: a slot towards the guest is written only when the guest has acknowledged the frame that told
 * of what was in it; a slot towards the host is copied once, and only the copy is looked at: the guest may change it any time.
 * It is reached through a mapping and never by read or write: who writes locks the file, as long as a guest likes.
 */
export class LineMemory implements LineSource {
  readonly #memory: SharedMemory;
  readonly #bytes: Uint8Array;
  /** In each direction. */
  readonly slots: number;
  #filled = 0;
  #freed = 0;
  #taken = 0;
  #told = 0;
  /** Where on the line the frames of filled slots end, oldest first. */
  #ends: number[] = [];

  /**
   * `file`: an open descriptor of memory whose size is such as isLineMemory() takes, closed by close() or with an error.
   * @throws PolykernelError `unavailable` when this process cannot map memory
   */
  constructor(file: number) {
    this.#memory = SharedMemory.own(file);
    this.#bytes = new Uint8Array(this.#memory.buffer);
    this.slots = slotsIn(this.#bytes.length);
  }

  /** A new connection: all slots are free. Whether the guest has this memory. */
  open(slots: number): boolean {
    this.#filled = this.#freed = this.#taken = this.#told = 0;
    this.#ends = [];
    return slots === this.slots;
  }

  /** Whether so many were taken that the guest is to be told: each time wakes it, and it still has the other half. */
  get isDue(): boolean {
    return (this.#taken - this.#told) >>> 0 >= this.slots / 2;
  }

  /** Tells how many slots were read since open(), modulo 2^32: the guest may fill them again. */
  nextFrame(): Buffer | undefined {
    if (this.#taken === this.#told) return undefined;
    this.#told = this.#taken;
    return encodeFrame(ToGuest.taken, 0, u32(this.#taken));
  }

  /** Copies `data`, at most a slot, for the guest. False: no slot is free. */
  put(data: Uint8Array): boolean {
    if (this.#filled - this.#freed >= this.slots) return false;
    this.#bytes.set(data, (this.#filled % this.slots) * SLOT_BYTES);
    this.#filled += 1;
    return true;
  }

  /** What was put is told of on the line up to `position`. */
  sent(position: number): void {
    while (this.#ends.length < this.#filled - this.#freed) this.#ends.push(position);
  }

  /** The guest has read the line up to `position`, modulo 2^32. Whether a slot became free. */
  acknowledged(position: number): boolean {
    const before = this.#freed;
    while (this.#ends.length > 0 && (position - this.#ends[0]!) >>> 0 < 2 ** 31) {
      this.#ends.shift();
      this.#freed += 1;
    }
    return this.#freed > before;
  }

  /** The first `length` bytes of the next slot from the guest. Undefined when there can be no such length. */
  take(length: number): Buffer | undefined {
    const start = (this.slots + (this.#taken % this.slots)) * SLOT_BYTES;
    return this.skip(length) ? pieceOf(this.#bytes.subarray(start, start + length)) : undefined;
  }

  /** The same without looking at them. Whether there can be such a length. */
  skip(length: number): boolean {
    this.#taken = (this.#taken + 1) >>> 0;
    return length > 0 && length <= SLOT_BYTES;
  }

  /** What the agent counts up each second, whatever its line does; undefined where there is no such word. */
  beats(): number | undefined {
    const at = slotBytes(this.slots);
    return this.#bytes.length < at + 4 ? undefined : new DataView(this.#memory.buffer).getUint32(at, true);
  }

  close(): void {
    this.#memory[Symbol.dispose]();
  }
}
