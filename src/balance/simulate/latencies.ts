/** Latencies of any number of requests in bins of 2 %. */
const LEAST = 1e-5;
const WIDTH = Math.log(1.02);
const BINS = 1024;

export class Latencies {
  readonly #bins = new Float64Array(BINS);
  #total = 0;

  /** `weight` requests took `seconds`. */
  add(seconds: number, weight: number): void {
    const bin = seconds <= LEAST ? 0 : Math.min(BINS - 1, Math.floor(Math.log(seconds / LEAST) / WIDTH));
    this.#bins[bin]! += weight;
    this.#total += weight;
  }

  /** Seconds within which a share of the requests was answered; 0 when there were none. */
  quantile(share: number): number {
    let rest = share * this.#total;
    if (this.#total === 0) return 0;
    for (let bin = 0; bin < BINS; bin++) {
      const here = this.#bins[bin]!;
      if (rest <= here) return LEAST * Math.exp(WIDTH * (bin + (here === 0 ? 0 : rest / here)));
      rest -= here;
    }
    return LEAST * Math.exp(WIDTH * BINS);
  }
}
