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

/** Copies out of the ring. A caller that receives into one buffer again and again gains most. */
export class Copier {
  private readonly words: Int32Array;
  private readonly bytes: Uint8Array;
  /** Index of the first word of `bytes` in `words`. */
  private readonly dataWord: number;
  /** The caller's array used last, and its memory as words; `first` is where it begins, or -1 when it is not to be used. */
  private last: Uint8Array | undefined;
  private buffer: ArrayBufferLike | undefined;
  private view: Int32Array = new Int32Array(0);
  private first = -1;

  /** Both are views of the ring's memory: `words` of all of it, `bytes` of its data area. */
  constructor(words: Int32Array, bytes: Uint8Array) {
    this.words = words;
    this.bytes = bytes;
    this.dataWord = bytes.byteOffset / 4;
  }

  /** Copies `length` bytes at the ring's `offset`, a multiple of 8, to the start of `into`. */
  copy(into: Uint8Array, offset: number, length: number): void {
    if (into !== this.last) this.look(into);
    const { first } = this;
    if (length > SMALL_BYTES || first < 0) {
      into.set(this.bytes.subarray(offset, offset + length));
      return;
    }
    const { words, view } = this;
    const source = this.dataWord + (offset >> 2);
    const whole = length >> 2;
    for (let i = 0; i < whole; i++) view[first + i] = words[source + i]!;
    for (let i = whole << 2; i < length; i++) into[i] = this.bytes[offset + i]!;
  }

  /** Prepares for an array. A view costs more than it saves once, so a buffer gets one when it comes for the second time. */
  private look(array: Uint8Array): void {
    const { buffer, byteOffset } = array;
    const again = buffer === this.buffer;
    this.first = -1;
    this.last = undefined;
    if (again && this.view.buffer !== buffer) this.view = new Int32Array(buffer, 0, buffer.byteLength >> 2);
    this.buffer = buffer;
    if (!again || byteOffset % 4 !== 0) return;
    this.first = byteOffset / 4;
    this.last = array;
  }
}
