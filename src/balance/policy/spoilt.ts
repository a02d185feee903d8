/**
 * How many requests may be late for seconds to be kept: the promise is judged by the second, in which one of thirty is more than 1 %. Where few
 * come, fewer of all may be late.
 */

/** Late requests in a second that the promise allows: 1 % of those that come in it. */
const TOLERATED = 0.01;
/** From here on what is allowed for all is allowed for each second, nearly. */
const MANY = 20;

/** The mean of a Poisson distribution that exceeds `allowed` with a probability of `share`. */
function meanFor(allowed: number, share: number): number {
  let [low, high] = [0, 4 * (allowed + 1)];
  for (let round = 0; round < 40; round++) {
    const mean = (low + high) / 2;
    let term = Math.exp(-mean);
    let within = term;
    for (let count = 1; count <= allowed; count++) within += term *= mean / count;
    if (1 - within > share) high = mean;
    else low = mean;
  }
  return low;
}

/** Means by what is allowed, for one share of seconds that may be spoilt. */
export class Spoilt {
  readonly #means: readonly number[];
  constructor(share: number) {
    this.#means = Array.from({ length: MANY }, (_, allowed) => meanFor(allowed, share));
  }

  /** Chance that a second is spoilt in which `arrivals` come, a share of which is late, each by itself. */
  static chance(arrivals: number, late: number): number {
    const allowed = Math.floor(arrivals * TOLERATED);
    if (allowed >= MANY) return late > TOLERATED ? 1 : 0;
    const mean = arrivals * late;
    let term = Math.exp(-mean);
    let within = term;
    for (let count = 1; count <= allowed; count++) within += term *= mean / count;
    return 1 - within;
  }

  /** Share of all requests, `arrivals` a second, that may be late. */
  risk(arrivals: number): number {
    const allowed = Math.floor(arrivals * TOLERATED);
    const mean = this.#means[allowed];
    return mean === undefined ? TOLERATED : mean / Math.max(1, arrivals);
  }
}
