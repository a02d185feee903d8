/**
 * The levels that demand jumped to, as a histogram that forgets: each half-life halves the weight of what it holds.
 * The idea of decaying usage histograms is Autopilot's (EuroSys'20, https://doi.org/10.1145/3342195.3387524); days there, minutes here.
 */
import { compound } from './compound.ts';

const BINS = 100;
/** Bin b ends at 1.15^b requests per second: a million and more. */
const WIDTH = Math.log(1.15);
const RESCALE = 1e9;

export class Jumps {
  readonly #weights = new Float64Array(BINS);
  readonly #growth: (seconds: number) => number;
  #weight = 1;
  #total = 0;

  /** `halfLife` in seconds. */
  constructor(halfLife: number) {
    this.#growth = compound(2 ** (1 / halfLife));
  }

  /** The highest level that demand jumped to in the last `seconds`; 0: it did not jump. */
  add(level: number, seconds: number): void {
    // Instead of shrinking all that was, what comes weighs more.
    this.#weight *= this.#growth(seconds);
    const bin = level <= 1 ? 0 : Math.min(BINS - 1, Math.ceil(Math.log(level) / WIDTH - 1e-9));
    this.#weights[bin]! += this.#weight;
    this.#total += this.#weight;
    if (this.#weight < RESCALE) return;
    for (let each = 0; each < BINS; each++) this.#weights[each]! /= this.#weight;
    this.#total /= this.#weight;
    this.#weight = 1;
  }

  /** The level that no jump exceeded in a share `quantile` of the time; 0 when there was none. */
  quantile(quantile: number): number {
    let rest = (1 - quantile) * this.#total;
    for (let bin = BINS - 1; bin > 0; bin--) {
      rest -= this.#weights[bin]!;
      if (rest < 0) return Math.exp(WIDTH * bin);
    }
    return 0;
  }
}
