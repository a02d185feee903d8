/** The highest value of a sliding span of time, in constant time a value. */
export class HighestOf {
  readonly #seconds: number;
  /** Those that can still become the highest: later ones are lower. */
  readonly #times: number[] = [];
  readonly #values: number[] = [];
  constructor(seconds: number) {
    this.#seconds = seconds;
  }

  /** Takes a value at time `at`, never earlier than the last, and gives the highest of the span that ends there. */
  add(at: number, value: number): number {
    while (this.#values.length > 0 && this.#values.at(-1)! <= value) {
      this.#values.pop();
      this.#times.pop();
    }
    this.#values.push(value);
    this.#times.push(at);
    while (this.#times[0]! <= at - this.#seconds) {
      this.#times.shift();
      this.#values.shift();
    }
    return this.#values[0]!;
  }

  /** What came before counts no more. */
  reset(): void {
    this.#times.length = this.#values.length = 0;
  }
}
