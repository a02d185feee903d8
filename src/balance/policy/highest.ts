/** A power of two. */
const LEAST = 8;

/** The highest value of a sliding span of time, in constant time a value. */
export class HighestOf {
  readonly #seconds: number;
  /** Those that can still become the highest, in a ring: later ones are lower. */
  #times = new Float64Array(LEAST);
  #values = new Float64Array(LEAST);
  #first = 0;
  #count = 0;
  constructor(seconds: number) {
    this.#seconds = seconds;
  }

  /** Takes a value at time `at`, never earlier than the last, and gives the highest of the span that ends there. */
  add(at: number, value: number): number {
    let mask = this.#values.length - 1;
    while (this.#count > 0 && this.#values[(this.#first + this.#count - 1) & mask]! <= value) this.#count--;
    while (this.#count > 0 && this.#times[this.#first]! <= at - this.#seconds) {
      this.#first = (this.#first + 1) & mask;
      this.#count--;
    }
    if (this.#count > mask) mask = this.#grow();
    const place = (this.#first + this.#count++) & mask;
    this.#values[place] = value;
    this.#times[place] = at;
    return this.#values[this.#first]!;
  }

  /** What came before counts no more. */
  reset(): void {
    this.#count = 0;
  }

  #grow(): number {
    const mask = this.#values.length - 1;
    const inOrder = (ring: Float64Array) =>
      Float64Array.from({ length: 2 * ring.length }, (_, each) => ring[(this.#first + each) & mask]!);
    this.#times = inOrder(this.#times);
    this.#values = inOrder(this.#values);
    this.#first = 0;
    return this.#values.length - 1;
  }
}
