/** Bytes that come in pieces, in one piece of memory: however small they are, they take no more than twice their sum. */
export class Accumulator {
  readonly #most: number;
  #buffer: Buffer = Buffer.alloc(0);
  #length = 0;

  constructor(most: number) {
    this.#most = most;
  }

  get length(): number {
    return this.#length;
  }

  /** False when there would be more than may be: nothing was added then. */
  add(piece: Uint8Array): boolean {
    const needed = this.#length + piece.length;
    if (needed > this.#most) return false;
    if (needed > this.#buffer.length) {
      const grown = Buffer.alloc(Math.min(this.#most, Math.max(needed, 2 * this.#buffer.length)));
      this.#buffer.copy(grown, 0, 0, this.#length);
      this.#buffer = grown;
    }
    this.#buffer.set(piece, this.#length);
    this.#length = needed;
    return true;
  }

  /** All of it, and begins anew. */
  take(): Buffer {
    const all = this.#buffer.subarray(0, this.#length);
    this.#buffer = Buffer.alloc(0);
    this.#length = 0;
    return all;
  }
}
