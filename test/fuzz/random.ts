/** Numbers that repeat from run to run: xorshift32. */
export class Random {
  #state: number;

  constructor(seed: number) {
    // Near seeds must not begin alike, and the state must not be 0.
    this.#state = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) | 1;
    for (let turn = 0; turn < 4; turn++) this.word();
  }

  /** 32 bits, unsigned. */
  word(): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return this.#state >>> 0;
  }

  /** From 0 to below `limit`. */
  below(limit: number): number {
    return limit <= 1 ? 0 : this.word() % limit;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }
}
