/**
 * Autothrottle's Captain: holds the share of throttled 100 ms samples of one kernel at a target by its limit in CPUs.
 * Source: worker-daemon.py of https://github.com/microsoft/autothrottle (MIT), https://arxiv.org/abs/2212.12180.
 */
const THROTTLES = 10;
const USAGES = 50;
const LEAST = 0.01;

export class Captain {
  /** Wanted share of throttled samples, 0 to 1. The Tower sets it. */
  target: number;
  /** CPUs. */
  limit: number;
  /** How many deviations of the usage are kept above its peak. */
  margin = 3;
  #before: number;
  #cut = false;
  #throttles = new Ring(THROTTLES);
  readonly #usages = new Ring(USAGES);

  constructor(target: number, limit: number) {
    this.target = target;
    this.limit = limit;
    this.#before = limit;
  }

  /** Of the last five seconds: highest usage and its deviation, in CPUs. */
  get usage(): { peak: number; deviation: number } {
    return { peak: this.#usages.highest(), deviation: this.#usages.deviation() };
  }
  /** Share of the last samples that were throttled. */
  get throttled(): number {
    return this.#throttles.mean();
  }

  /** Every 100 ms: periods throttled since the last one (0 or 1), and CPUs used. A cut that hurt is undone with interest. */
  sample(throttled: number, usage: number): void {
    this.#throttles.push(throttled);
    this.#usages.push(usage);
    const share = this.#throttles.mean();
    if (!this.#cut || share <= 3 * this.target) return;
    this.limit = 2 * this.#before - this.limit;
    this.margin += share - this.target;
    this.#throttles = new Ring(THROTTLES);
    this.#cut = false;
  }

  /** Every second, after its samples. Gives the share of them that were throttled. */
  second(): number {
    this.#before = this.limit;
    const share = this.#throttles.mean();
    this.margin = Math.max(0, this.margin + share - this.target);
    this.#cut = false;
    if (share > 3 * this.target) this.limit *= 1 + share - 3 * this.target;
    else {
      const { peak, deviation } = this.usage;
      const proposed = peak + this.margin * deviation;
      if (proposed <= 0.9 * this.limit) {
        this.limit = Math.max(this.limit / 2, proposed);
        this.#cut = true;
      }
    }
    this.#throttles = new Ring(THROTTLES);
    this.limit = Math.max(LEAST, this.limit);
    return share;
  }
}

/** The last values, of which there are always `size`: zeros at first. */
class Ring {
  readonly #values: Float64Array;
  #next = 0;
  constructor(size: number) {
    this.#values = new Float64Array(size);
  }
  push(value: number): void {
    this.#values[this.#next] = value;
    this.#next = (this.#next + 1) % this.#values.length;
  }
  mean(): number {
    let sum = 0;
    for (const value of this.#values) sum += value;
    return sum / this.#values.length;
  }
  highest(): number {
    let highest = 0;
    for (const value of this.#values) highest = Math.max(highest, value);
    return highest;
  }
  /** Of a sample. */
  deviation(): number {
    const mean = this.mean();
    let sum = 0;
    for (const value of this.#values) sum += (value - mean) ** 2;
    return Math.sqrt(sum / (this.#values.length - 1));
  }
}
