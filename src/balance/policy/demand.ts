/**
 * Where the demand of a service goes. Requests come by chance, so a count n where m were expected says little while n − m is within a few
 * √m; what chance does from moment to moment is the queueing model's business, not a change of demand.
 *
 * Level and slope are smoothed (Holt's linear method). A change that chance does not explain is taken at once: a cumulative sum of the
 * deviations in units of √m (Page, Biometrika 1954, https://doi.org/10.1093/biomet/41.1-2.100) that exceeds its bound makes what was
 * counted since it began to rise the new level.
 */
import { compound } from './compound.ts';
import { Jumps } from './jumps.ts';

/** Share of the past kept each second, of level and slope. */
const levelKept = compound(0.5);
const slopeKept = compound(0.8);
/** Seconds that weigh in the level: 2 / (−ln 0.5). */
const ESTIMATED_OVER = 2.9;
/** Of the cumulative sum: what each deviation has to exceed, and the bound. */
const DRIFT = 0.75;
const BOUND = 4;
/** Deviations that chance may explain in a single count. */
const CHANCE = 2;

export class Demand {
  /** Requests per second foreseen, before headroom, and the headroom: what is between that and where demand lately jumped to. */
  foreseen = Number.NaN;
  headroom = 0;
  /** It has just risen, or fallen, by more than chance explains. */
  rose = false;
  fell = false;
  readonly #lead: number;
  readonly #quantile: number;
  readonly #jumps: Jumps;
  #level = 0;
  #slope = 0;
  /** Of the span under way: how long it is, and the highest level that demand jumped to in it. */
  readonly #span: number;
  #during = 0;
  #highest = 0;
  /** The level that is kept free. */
  #kept = 0;
  readonly #rise = new Shift();
  readonly #fall = new Shift();

  /**
   * `lead`: seconds ahead that it foresees. Kept free is what jumps did not exceed in a share `quantile` of the spans of `span` seconds,
   * of which those count half that are `halfLife` seconds old.
   */
  constructor(lead: number, quantile: number, halfLife: number, span: number) {
    this.#span = span;
    this.#lead = lead;
    this.#quantile = quantile;
    this.#jumps = new Jumps(halfLife);
  }

  /** `arrivals` per second came during the last `seconds`. */
  learn(arrivals: number, seconds: number): void {
    if (Number.isNaN(this.foreseen)) this.#level = this.foreseen = arrivals;
    const ahead = Math.max(0, this.#level + this.#slope * seconds);
    const count = arrivals * seconds;
    const mean = Math.max(1, ahead * seconds);
    const deviation = (count - mean) / Math.sqrt(mean);
    this.rose = this.#rise.add(deviation, count, seconds);
    this.fell = this.#fall.add(-deviation, count, seconds);
    this.#remember(seconds);
    if (this.rose || this.fell) {
      this.#level = this.rose ? this.#rise.level : this.#fall.level;
      this.#slope = this.rose ? Math.max(0, this.#slope) : Math.min(0, this.#slope);
      this.#rise.reset();
      this.#fall.reset();
    } else {
      const kept = levelKept(seconds);
      const level = kept * ahead + (1 - kept) * arrivals;
      const steady = slopeKept(seconds);
      this.#slope = steady * this.#slope + (1 - steady) * ((level - this.#level) / seconds);
      this.#level = level;
    }
    this.foreseen = Math.max(this.#level, this.#level + this.#slope * this.#lead);
    this.headroom = Math.max(0, this.#kept - this.foreseen);
  }

  /** What chance explains is no jump: headroom against that is the queueing model's business. */
  #remember(seconds: number): void {
    if (this.rose) this.#highest = Math.max(this.#highest, this.#rise.surely);
    this.#during += seconds;
    if (this.#during < this.#span - 1e-9) return;
    this.#jumps.add(this.#highest, this.#during);
    this.#kept = this.#jumps.quantile(this.#quantile);
    this.#during = this.#highest = 0;
  }

  /** Requests per second by which the level may be off, since those that it was estimated from came by chance. */
  get uncertainty(): number {
    return CHANCE * Math.sqrt(Math.max(0, this.#level) / ESTIMATED_OVER);
  }
}

/** The cumulative sum of deviations in one direction, and the requests and seconds that it is made of. */
class Shift {
  #sum = 0;
  #counted = 0;
  #during = 0;

  /** `count` came in `seconds`, so many √m from what was expected in this direction. Whether that is beyond chance by now. */
  add(deviation: number, count: number, seconds: number): boolean {
    this.#sum = Math.max(0, this.#sum + deviation - DRIFT);
    if (this.#sum === 0) {
      this.#counted = this.#during = 0;
      return false;
    }
    this.#counted += count;
    this.#during += seconds;
    return this.#sum > BOUND;
  }

  /** Requests per second since the sum began to grow. */
  get level(): number {
    return this.#counted / this.#during;
  }

  /** The same, less what may be chance. */
  get surely(): number {
    return (this.#counted - CHANCE * Math.sqrt(this.#counted)) / this.#during;
  }

  reset(): void {
    this.#sum = this.#counted = this.#during = 0;
  }
}
