/**
 * Reading shared words and copying small messages out without a call. V8 compiles Atomics.load to the call of a builtin, and
 * a part of a typed array needs a new view: 9 and 60 ns, where C sends and receives a whole message in 40.
 */

/** Up to this many bytes a loop over words beats memcpy and the view that it needs. */
const SMALL_BYTES = 256;

const acquireByHardware = process.arch === 'x64';

/**
 * A load that no later access moves before. On x86 every load is one, and it comes after an earlier Atomics.store, which is
 * a locked instruction there; V8 keeps accesses to typed arrays in program order. Elsewhere Atomics.load.
 *
 * A loop that waits must use Atomics.load, of which alone the language promises that it sees a new value.
 */
export const acquire: (words: Int32Array, index: number) => number = acquireByHardware
  ? (words, index) => words[index]!
  : (words, index) => Atomics.load(words, index);

/** Makes plain that sums with small numbers stay below 2^31: V8 then neither looks for overflow nor converts. */
const INDEX = 0x3fff_ffff;

/**
 * Copies between the ring and arrays of its user, who gains most with one buffer used again and again. In units of 64 bits,
 * four to a turn of the loop: a turn costs as much as two of them.
 */
export class Copier {
  declare private readonly bytes: Uint8Array;
  /** The same memory as `bytes`, the ring's data area. */
  declare private readonly words: BigInt64Array;
  /** The user's array used last, and its memory; `first` is the index of its beginning, or -1 when it is not to be used. */
  private last: Uint8Array | undefined;
  private buffer: ArrayBufferLike | undefined;
  private view: BigInt64Array = new BigInt64Array(0);
  private first = -1;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.words = new BigInt64Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 8);
  }

  /** Copies `length` bytes at the ring's `offset`, a multiple of 8, to the start of `into`. */
  copyOut(into: Uint8Array, offset: number, length: number): void {
    if (into !== this.last) this.look(into);
    if (length > SMALL_BYTES || this.first < 0) {
      into.set(this.bytes.subarray(offset, offset + length));
      return;
    }
    copyWords(this.view, this.first, this.words, offset >> 3, length >> 3);
    for (let i = length & ~7; i < length; i++) into[i] = this.bytes[offset + i]!;
  }

  /** Copies all of `from` to the ring's `offset`, a multiple of 8. */
  copyIn(from: Uint8Array, offset: number, length: number): void {
    if (from !== this.last) this.look(from);
    if (length > SMALL_BYTES || this.first < 0) {
      this.bytes.set(from, offset);
      return;
    }
    copyWords(this.words, offset >> 3, this.view, this.first, length >> 3);
    for (let i = length & ~7; i < length; i++) this.bytes[offset + i] = from[i]!;
  }

  /** Prepares for an array. A view costs more than it saves once, so a buffer gets one when it comes for the second time. */
  private look(array: Uint8Array): void {
    const { buffer, byteOffset } = array;
    const again = buffer === this.buffer;
    this.first = -1;
    this.last = undefined;
    if (again && this.view.buffer !== buffer) this.view = new BigInt64Array(buffer, 0, buffer.byteLength >> 3);
    this.buffer = buffer;
    if (!again || byteOffset % 8 !== 0) return;
    this.first = byteOffset / 8;
    this.last = array;
  }
}

function copyWords(to: BigInt64Array, start: number, from: BigInt64Array, source: number, count: number): void {
  let i = 0;
  for (; i + 4 <= count; i += 4) {
    const t = (start + i) & INDEX;
    const f = (source + i) & INDEX;
    to[t] = from[f]!;
    to[t + 1] = from[f + 1]!;
    to[t + 2] = from[f + 2]!;
    to[t + 3] = from[f + 3]!;
  }
  for (; i < count; i++) to[start + i] = from[source + i]!;
}
