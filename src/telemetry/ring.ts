/**
 * The last samples of one instance. An idle one gives the same row again and again: it is kept once, so that what a ring
 * takes follows what was seen. Its bound is as if every row were another.
 */

/** Samples whose times and rows are kept together: at most 255, so that a byte tells which row. */
const BLOCK = 60;
/** What a block has room for at first. */
const FEW_ROWS = 4;

interface Block {
  beginMs: number;
  /** Milliseconds since `beginMs`. */
  times: Uint32Array;
  /** Of each sample, which row. */
  which: Uint8Array;
  /** One after the other, each unlike the one before. */
  rows: Float32Array;
  rowCount: number;
  count: number;
}

export class SampleRing {
  readonly #capacity: number;
  readonly #columns: number;
  readonly #blocks: Block[] = [];
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
    return this.#blocks.reduce(
      (sum, { times, which, rows }) => sum + times.byteLength + which.length + rows.byteLength,
      0,
    );
  }

  /** `row` has a number for each column. A clock that was set back makes what is kept worthless: it is dropped. */
  push(atMs: number, row: Float32Array): void {
    if (atMs <= this.#lastMs) {
      this.#blocks.length = 0;
      this.#count = 0;
    }
    this.#lastMs = atMs;
    const block = this.#blockFor(atMs);
    if (block.rowCount === 0 || !this.#isLast(block, row)) this.#addRow(block, row);
    block.times[block.count] = atMs - block.beginMs;
    block.which[block.count] = block.rowCount - 1;
    block.count += 1;
    this.#count += 1;
    const oldest = this.#blocks[0]!;
    if (this.#count - oldest.count < this.#capacity) return;
    this.#blocks.shift();
    this.#count -= oldest.count;
  }

  /** From `sinceMs` on, oldest first. Rows are views: valid until the next push. */
  *since(sinceMs: number): Generator<{ atMs: number; row: Float32Array }> {
    let spare = this.#count - this.count;
    for (const { beginMs, times, which, rows, count } of this.#blocks) {
      for (let index = 0; index < count; index++) {
        const atMs = beginMs + times[index]!;
        if (spare-- > 0 || atMs < sinceMs) continue;
        const at = which[index]! * this.#columns;
        yield { atMs, row: rows.subarray(at, at + this.#columns) };
      }
    }
  }

  /** The last block while it has room, and is not so old that its times run over. */
  #blockFor(atMs: number): Block {
    const last = this.#blocks.at(-1);
    if (last !== undefined && last.count < last.which.length && atMs - last.beginMs < 2 ** 32) return last;
    if (last !== undefined) last.rows = last.rows.slice(0, last.rowCount * this.#columns);
    const samples = Math.min(BLOCK, this.#capacity);
    const block: Block = {
      beginMs: atMs,
      times: new Uint32Array(samples),
      which: new Uint8Array(samples),
      rows: new Float32Array(FEW_ROWS * this.#columns),
      rowCount: 0,
      count: 0,
    };
    this.#blocks.push(block);
    return block;
  }

  /** Whether it is the newest row of `block` again; what is not known equals what is not known. */
  #isLast({ rows, rowCount }: Block, row: Float32Array): boolean {
    const begin = (rowCount - 1) * this.#columns;
    for (let column = 0; column < this.#columns; column++)
      if (!Object.is(rows[begin + column], row[column])) return false;
    return true;
  }

  #addRow(block: Block, row: Float32Array): void {
    const begin = block.rowCount * this.#columns;
    if (begin === block.rows.length) {
      const more = new Float32Array(Math.min(2 * block.rowCount, block.which.length) * this.#columns);
      more.set(block.rows);
      block.rows = more;
    }
    block.rows.set(row, begin);
    block.rowCount += 1;
  }
}
