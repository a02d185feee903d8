/**
 * The last samples of one instance. Of each the numbers are kept that are not those of the sample before, so that what a ring takes
 * follows what was seen: four bytes where nothing has changed. Its bound is as if every number changed each time.
 */

/** Samples that are kept together, and dropped together. */
const BLOCK = 100;
/** What a block has room for at first, in words of 32 bits. */
const FEW_WORDS = 128;
/** Of the first word of a sample, which is else the milliseconds since the block began: all numbers are those of the sample before. */
const SAME = 2 ** 31;
const WORD_BITS = 32;

interface Block {
  beginMs: number;
  /** One sample after the other: its first word; unless that says SAME, a bit for each column that has changed; the new numbers. */
  words: Uint32Array;
  used: number;
  count: number;
}

/** The numbers of a row as they are stored: what is not known equals what is not known. */
const bitsOf = ({ buffer, byteOffset, length }: Float32Array): Uint32Array =>
  new Uint32Array(buffer, byteOffset, length);

export class SampleRing {
  readonly #capacity: number;
  readonly #columns: number;
  readonly #blocks: Block[] = [];
  /** The newest. */
  #last: Float32Array | undefined;
  #lastMs = -Infinity;
  #count = 0;

  constructor(capacity: number, columns: number) {
    this.#capacity = capacity;
    this.#columns = columns;
  }

  get count(): number {
    return Math.min(this.#count, this.#capacity);
  }

  /** Of memory, without what JavaScript adds to it. */
  get bytes(): number {
    return this.#blocks.reduce((sum, { words }) => sum + words.byteLength, 0);
  }

  /** `row` has a number for each column, and stays as it is. A clock that was set back makes what is kept worthless: it is dropped. */
  push(atMs: number, row: Float32Array): void {
    if (atMs <= this.#lastMs) {
      this.#blocks.length = 0;
      this.#count = 0;
    }
    this.#lastMs = atMs;
    const block = this.#blockFor(atMs);
    const sinceMs = atMs - block.beginMs;
    const before = block.count > 0 ? this.#last : undefined;
    if (row === before) this.#put(block, [sinceMs + SAME]);
    else this.#add(block, sinceMs, bitsOf(row), before === undefined ? this.#unknown() : bitsOf(before));
    this.#last = row;
    block.count += 1;
    this.#count += 1;
    const oldest = this.#blocks[0]!;
    if (this.#count - oldest.count < this.#capacity) return;
    this.#blocks.shift();
    this.#count -= oldest.count;
  }

  /** From `sinceMs` on, oldest first. */
  *since(sinceMs: number): Generator<{ atMs: number; row: Float32Array }> {
    let spare = this.#count - this.count;
    for (const { beginMs, words, count } of this.#blocks) {
      let bits = this.#unknown();
      let at = 0;
      for (let index = 0; index < count; index++) {
        const first = words[at++]!;
        if (first < SAME) {
          bits = bits.slice();
          at = this.#apply(words, at, bits);
        }
        const atMs = beginMs + (first % SAME);
        if (spare-- <= 0 && atMs >= sinceMs) yield { atMs, row: new Float32Array(bits.buffer) };
      }
    }
  }

  #unknown(): Uint32Array<ArrayBuffer> {
    return new Uint32Array(new Float32Array(this.#columns).fill(Number.NaN).buffer);
  }

  /** The last block while it has room, and is not so old that its times run over. */
  #blockFor(atMs: number): Block {
    const last = this.#blocks.at(-1);
    if (last !== undefined && last.count < Math.min(BLOCK, this.#capacity) && atMs - last.beginMs < SAME) return last;
    if (last !== undefined) last.words = last.words.slice(0, last.used);
    const block: Block = { beginMs: atMs, words: new Uint32Array(FEW_WORDS), used: 0, count: 0 };
    this.#blocks.push(block);
    return block;
  }

  #add(block: Block, sinceMs: number, now: Uint32Array, before: Uint32Array): void {
    const masks = new Array<number>(Math.ceil(this.#columns / WORD_BITS)).fill(0);
    const changed: number[] = [];
    for (let column = 0; column < this.#columns; column++) {
      if (now[column] === before[column]) continue;
      masks[Math.floor(column / WORD_BITS)]! |= 1 << (column % WORD_BITS);
      changed.push(now[column]!);
    }
    this.#put(block, changed.length === 0 ? [sinceMs + SAME] : [sinceMs, ...masks, ...changed]);
  }

  #put(block: Block, sample: readonly number[]): void {
    const used = block.used + sample.length;
    if (used > block.words.length) {
      const more = new Uint32Array(Math.max(used, Math.ceil(1.5 * block.words.length)));
      more.set(block.words);
      block.words = more;
    }
    block.words.set(sample, block.used);
    block.used = used;
  }

  /** Puts into `bits` what a sample changed, whose masks are at `at`. Where the next one begins. */
  #apply(words: Uint32Array, at: number, bits: Uint32Array): number {
    let next = at + Math.ceil(this.#columns / WORD_BITS);
    for (let column = 0; column < this.#columns; column++) {
      const mask = words[at + Math.floor(column / WORD_BITS)]!;
      if ((mask >>> (column % WORD_BITS)) % 2 === 1) bits[column] = words[next++]!;
    }
    return next;
  }
}
