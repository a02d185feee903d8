/** The last samples of one instance, in memory of a fixed size. */
export class SampleRing {
  readonly #times: Float64Array;
  readonly #rows: Float32Array;
  readonly #columns: number;
  #next = 0;
  #count = 0;

  constructor(capacity: number, columns: number) {
    this.#times = new Float64Array(capacity);
    this.#rows = new Float32Array(capacity * columns);
    this.#columns = columns;
  }

  get count(): number {
    return this.#count;
  }

  /** `row` has a number for each column. A clock that was set back makes what is kept worthless: it is dropped. */
  push(atMs: number, row: Float32Array): void {
    if (this.#count > 0 && atMs <= this.#times[this.#at(this.#count - 1)]!) this.#count = 0;
    this.#times[this.#next] = atMs;
    this.#rows.set(row, this.#next * this.#columns);
    this.#next = (this.#next + 1) % this.#times.length;
    this.#count = Math.min(this.#count + 1, this.#times.length);
  }

  /** From `sinceMs` on, oldest first. Rows are views: valid until the next push. */
  *since(sinceMs: number): Generator<{ atMs: number; row: Float32Array }> {
    for (let index = 0; index < this.#count; index++) {
      const at = this.#at(index);
      const atMs = this.#times[at]!;
      if (atMs >= sinceMs) yield { atMs, row: this.#rows.subarray(at * this.#columns, (at + 1) * this.#columns) };
    }
  }

  #at(index: number): number {
    const capacity = this.#times.length;
    return (this.#next - this.#count + index + capacity) % capacity;
  }
}
