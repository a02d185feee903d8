/** Which entry of a tar archive is on its way, told from its blocks as they pass. */
import { BLOCK, cString, numberAt, padding } from './blocks.ts';

const NAME = 100;

export class Follower {
  readonly #block = Buffer.alloc(BLOCK);
  /** Bytes of #block that are there, and bytes of content that are not yet. */
  #has = 0;
  #skip = 0;
  /** Of a long name that is in the next block. */
  #nameSize = 0;
  #longName: string | undefined;
  #at = '';

  /** Its name, of a long one the beginning; empty before the first. */
  get at(): string {
    return this.#at;
  }

  push(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length; ) {
      const skipped = Math.min(this.#skip, chunk.length - at);
      this.#skip -= skipped;
      at += skipped;
      const part = chunk.subarray(at, at + BLOCK - this.#has);
      this.#block.set(part, this.#has);
      this.#has = (this.#has + part.length) % BLOCK;
      at += part.length;
      if (part.length > 0 && this.#has === 0) this.#take();
    }
  }

  #take(): void {
    if (this.#nameSize > 0) {
      this.#longName = cString(this.#block).toString();
      this.#skip = Math.max(0, this.#nameSize + padding(this.#nameSize) - BLOCK);
      this.#nameSize = 0;
      return;
    }
    const code = String.fromCharCode(this.#block[156]!);
    const size = numberAt(this.#block, 124, 12);
    if (code === 'L') {
      this.#nameSize = size;
      return;
    }
    if (!'123456'.includes(code)) this.#skip = size + padding(size);
    if (code === 'K' || this.#block[0] === 0) return;
    this.#at = this.#longName ?? cString(this.#block.subarray(0, NAME)).toString();
    this.#longName = undefined;
  }
}
