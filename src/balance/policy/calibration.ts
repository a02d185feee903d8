/**
 * How much heavier or lighter a service is than the model has it: a factor on its load, from requests that the model said would be
 * late and those that were. Requests that are late with a rising queue say nothing about a model of steady ones, and are left out; so is the share that is late when nobody has to
 * wait: these take too long by themselves, and no CPU helps them.
 *
 * What proved too light is not tried again at such a load: else a model that is too gloomy on three CPUs and too rosy on two would send
 * a CPU to and fro for ever.
 */
import { compound } from './compound.ts';

const kept = compound(0.985);
/** Late requests there have to be, seen or foretold, before they say anything. */
const ENOUGH = 10;
const LIGHTEST = 0.8;
const HEAVIEST = 2;
/** Change a second: a rosy model breaks promises, so it is mended faster than a gloomy one. */
const heavier = compound(1.03);
const lighter = compound(0.995);
/** Seen against foretold, outside of which the factor moves. */
const BAND = [0.5, 1.5] as const;
/** Shares below which nothing is learned: too few are late to matter, or too few were foretold to miss them. */
const HURTS = 0.008;
const SAYS = 0.002;
/** Probability of waiting below which a request that is late is so by itself, and how long that is remembered, as `kept`. */
const NOBODY_WAITS = 0.05;
const ownKept = compound(0.998);
/** Loads within this factor are alike. */
const ALIKE = 1.25;

export class Calibration {
  factor = 1;
  /** The factor that was found too light, and the requests per second at which it was. */
  #proven = LIGHTEST;
  #provenAt = 0;
  #ownCount = 0;
  #ownLate = 0;
  #count = 0;
  #seen = 0;
  #foretold = 0;

  /**
   * Of `count` requests in `seconds`, shares that were late and that the model, with this factor, said would be; `chance`: that one
   * has to wait at all.
   */
  learn(count: number, late: number, foretold: number, chance: number, seconds: number): void {
    if (chance < NOBODY_WAITS) {
      const own = ownKept(seconds);
      this.#ownCount = own * this.#ownCount + count;
      this.#ownLate = own * this.#ownLate + count * late;
    }
    const byItself = this.#ownCount > 0 ? this.#ownLate / this.#ownCount : 0;
    const past = kept(seconds);
    // A window may have fewer late ones than usual: the sum of many is what counts.
    this.#seen = past * this.#seen + count * (late - byItself);
    this.#foretold = past * this.#foretold + count * foretold;
    this.#count = past * this.#count + count;
    if (Math.max(this.#seen, this.#foretold) < ENOUGH) return;
    const ratio = Math.max(0, this.#seen) / this.#foretold;
    const rate = count / seconds;
    if (ratio > BAND[1] && this.#seen > HURTS * this.#count) {
      this.factor = Math.min(HEAVIEST, this.factor * heavier(seconds));
      this.#proven = this.factor;
      this.#provenAt = rate;
    } else if (ratio < BAND[0] && this.#foretold > SAYS * this.#count) {
      const isAlike = rate < this.#provenAt * ALIKE && rate * ALIKE > this.#provenAt;
      this.factor = Math.max(isAlike ? this.#proven : LIGHTEST, this.factor * lighter(seconds));
    }
  }
}
