/** How long requests take, as a table of a lognormal distribution. Both models draw from it, so they can differ in queueing only. */

const FINE = 1024;
/** Shares of requests, finer towards the slow ones, where promises are broken. */
const BORDERS = [0, 0.2, 0.4, 0.6, 0.75, 0.85, 0.92, 0.96, 0.98, 0.99, 0.995, 0.998, 0.9995, 1];

export class ServiceTimes {
  /** Equally likely multiples of the mean, ascending; their own mean is 1. */
  readonly fine: Float64Array;
  /** Few of them with their weights, which sum to 1. */
  readonly coarse: { weight: number; times: number }[] = [];

  /** `variation`: squared coefficient of variation. */
  constructor(variation: number) {
    const sigma = Math.sqrt(Math.log(1 + variation));
    this.fine = Float64Array.from({ length: FINE }, (_, index) => Math.exp(sigma * normal((index + 0.5) / FINE)));
    const mean = this.fine.reduce((a, b) => a + b, 0) / FINE;
    for (const [index, value] of this.fine.entries()) this.fine[index] = value / mean;
    for (const [index, from] of BORDERS.slice(0, -1).entries()) {
      const to = BORDERS[index + 1]!;
      this.coarse.push({ weight: to - from, times: this.at((from + to) / 2) });
    }
  }

  /** The multiple below which a share `quantile` lies, 0 to below 1. */
  at(quantile: number): number {
    return this.fine[Math.floor(quantile * FINE)]!;
  }
}

/** The standard normal's quantile, to 5 · 10⁻⁴: Abramowitz and Stegun 26.2.23. */
export function normal(share: number): number {
  const tail = Math.min(share, 1 - share);
  const t = Math.sqrt(-2 * Math.log(tail));
  const value = t - (2.515517 + t * (0.802853 + t * 0.010328)) / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308)));
  return share < 0.5 ? -value : value;
}
