/** The output of a guest's process as a Node stream whose reader sets the pace. */
import { Readable } from 'node:stream';

/** Small pieces are gathered into blocks of this size, so that a guest sending single bytes costs no more memory. */
const BLOCK_BYTES = 4096;

/**
 * Output of a guest process. What the consumer has not read yet waits here (the credit scheme bounds it), and `consumed`
 * is told of every byte that left, which is what gives the guest new credit.
 */
export class OutputStream extends Readable {
  readonly #consumed: (bytes: number) => void;
  #blocks: Buffer[] = [];
  #filled = 0; // bytes used of the last block
  #size = 0;
  #wanted = false;
  #ended = false;

  constructor(consumed: (bytes: number) => void) {
    super({ highWaterMark: 1 });
    this.#consumed = consumed;
  }

  /** Bytes that nobody has read yet. */
  get waiting(): number {
    return this.#size + this.readableLength;
  }

  /** Bytes from the guest. */
  accept(data: Buffer): void {
    if (this.destroyed || this.#ended) {
      this.#consumed(data.length);
      return;
    }
    this.#size += data.length;
    if (data.length >= BLOCK_BYTES) this.#append(data);
    else this.#gather(data);
    if (this.#wanted) this.#deliver();
  }

  /** A large piece is a block of its own. */
  #append(data: Buffer): void {
    if (this.#blocks.length > 0) this.#blocks.push(this.#blocks.pop()!.subarray(0, this.#filled));
    this.#blocks.push(data);
    this.#filled = data.length;
  }

  #gather(data: Buffer): void {
    for (let at = 0; at < data.length; ) {
      let last = this.#blocks.at(-1);
      if (last === undefined || this.#filled === last.length) {
        last = Buffer.allocUnsafeSlow(BLOCK_BYTES);
        this.#blocks.push(last);
        this.#filled = 0;
      }
      const copied = data.copy(last, this.#filled, at);
      this.#filled += copied;
      at += copied;
    }
  }

  /** No more will come; what waits can still be read. */
  finish(): void {
    this.#ended = true;
    if (this.#wanted) this.#deliver();
  }

  override _read(): void {
    this.#wanted = true;
    this.#deliver();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    const waiting = this.#size;
    this.#blocks = [];
    this.#size = 0;
    if (waiting > 0) this.#consumed(waiting);
    callback(error);
  }

  /** A large piece as it is, or all small ones before the next large one: what is put together would only be taken apart again. */
  #deliver(): void {
    if (this.#size > 0) {
      const blocks = this.#blocks;
      const large = blocks.findIndex(({ length }) => length > BLOCK_BYTES);
      const next = blocks.splice(0, large < 0 ? blocks.length : Math.max(1, large));
      if (blocks.length === 0) next.push(next.pop()!.subarray(0, this.#filled));
      const piece = next.length === 1 ? next[0]! : Buffer.concat(next);
      this.#size -= piece.length;
      this.#wanted = false;
      this.push(piece);
      this.#consumed(piece.length);
    } else if (this.#ended) {
      this.#wanted = false;
      this.push(null);
    }
  }
}
