/**
 * How far demand jumps beyond what was foreseen, as a histogram that forgets: each half-life halves the weight of what it holds.
 * The idea of decaying usage histograms is Autopilot's (EuroSys'20, https://doi.org/10.1145/3342195.3387524); days there, minutes here.
 */
import { compound } from './compound.ts';

const BINS = 40;
/** Bin b begins at a jump of (1.06^b − 1) of the level: 0 to 8 times. */
const WIDTH = Math.log(1.06);
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

  /** Demand was `ratio` times what was foreseen for it; below 1 counts as no jump. `seconds` since the last. */
  add(ratio: number, seconds: number): void {
    // Instead of shrinking all that was, what comes weighs more.
    this.#weight *= this.#growth(seconds);
    const bin = ratio <= 1 ? 0 : Math.min(BINS - 1, Math.ceil(Math.log(ratio) / WIDTH - 1e-9));
    this.#weights[bin]! += this.#weight;
    this.#total += this.#weight;
    if (this.#weight < RESCALE) return;
    for (let each = 0; each < BINS; each++) this.#weights[each]! /= this.#weight;
    this.#total /= this.#weight;
    this.#weight = 1;
  }

  /** The ratio that a share `quantile` of the jumps did not exceed; 1 when none is known. */
  quantile(quantile: number): number {
    let rest = (1 - quantile) * this.#total;
    if (this.#total === 0) return 1;
    for (let bin = BINS - 1; bin > 0; bin--) {
      rest -= this.#weights[bin]!;
      if (rest < 0) return Math.exp(WIDTH * bin);
    }
    return 1;
  }
}
