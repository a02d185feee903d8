/**
 * Reading shared words and copying small messages without a call. V8 compiles Atomics.load and TypedArray.set to calls of
 * builtins, 10 and 50 ns each, where a message has about 100 ns altogether.
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

/** Copies between the ring's words and buffers of the caller's, of which it keeps the last one's view. */
export class Copier {
  private readonly words: Int32Array;
  private readonly bytes: Uint8Array;
  private buffer: ArrayBufferLike | undefined;
  private view: Int32Array = new Int32Array(0);

  /** Both are views of the ring's memory: `words` of all of it, `bytes` of its data area. */
  constructor(words: Int32Array, bytes: Uint8Array) {
    this.words = words;
    this.bytes = bytes;
  }

  /** Copies all of `from` to the ring's `offset`, a multiple of 8. */
  put(from: Uint8Array, offset: number): void {
    const { length, byteOffset } = from;
    const { bytes, words } = this;
    if (length > SMALL_BYTES || (byteOffset & 3) !== 0) {
      bytes.set(from, offset);
      return;
    }
    if (from.buffer !== this.buffer) this.look(from.buffer);
    const { view } = this;
    const source = byteOffset >> 2;
    const target = (bytes.byteOffset + offset) >> 2;
    const whole = length >> 2;
    for (let i = 0; i < whole; i++) words[target + i] = view[source + i]!;
    for (let i = whole << 2; i < length; i++) bytes[offset + i] = from[i]!;
  }

  /** Copies `length` bytes at the ring's `offset`, a multiple of 8, to the start of `into`. */
  take(into: Uint8Array, offset: number, length: number): void {
    const { byteOffset } = into;
    const { bytes, words } = this;
    if (length > SMALL_BYTES || (byteOffset & 3) !== 0) {
      into.set(bytes.subarray(offset, offset + length));
      return;
    }
    if (into.buffer !== this.buffer) this.look(into.buffer);
    const { view } = this;
    const source = (bytes.byteOffset + offset) >> 2;
    const target = byteOffset >> 2;
    const whole = length >> 2;
    for (let i = 0; i < whole; i++) view[target + i] = words[source + i]!;
    for (let i = whole << 2; i < length; i++) into[i] = bytes[offset + i]!;
  }

  private look(buffer: ArrayBufferLike): void {
    this.buffer = buffer;
    this.view = new Int32Array(buffer, 0, buffer.byteLength >> 2);
  }
}
