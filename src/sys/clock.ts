/** Time as a thing passed in, so that tests decide how late it is. */
export interface Clock {
  /** The time of day, in milliseconds since 1970: for people and for what outlives this process. It is set anew at times, forwards and back. */
  now(): number;
  /** Milliseconds since a moment that is the same for all of this process, and never set anew: for how long something lasts. */
  monotonic(): number;
  /** Calls back once after `milliseconds`, which may be one too early by now(); the returned function cancels. A pending timer does not keep the process alive. */
  after(milliseconds: number, callback: () => void): () => void;
}

export const systemClock: Clock = {
  now: Date.now,
  monotonic: () => performance.now(),
  after(milliseconds, callback) {
    const timer = setTimeout(callback, milliseconds).unref();
    return () => clearTimeout(timer);
  },
};

/** ISO 8601 UTC with milliseconds. */
export const timestamp = (clock: Clock): string => new Date(clock.now()).toISOString();

/** Tells when the time of day was set anew, or stood still with the machine. */
export class ClockSteps {
  readonly #clock: Clock;
  readonly #leastMs: number;
  #aheadMs: number;

  /** A step is one by more than `leastMs`; slow changes add up to one. */
  constructor(clock: Clock, leastMs: number) {
    this.#clock = clock;
    this.#leastMs = leastMs;
    this.#aheadMs = clock.now() - clock.monotonic();
  }

  /** Whether there was one since the last call. */
  take(): boolean {
    const aheadMs = this.#clock.now() - this.#clock.monotonic();
    if (Math.abs(aheadMs - this.#aheadMs) <= this.#leastMs) return false;
    this.#aheadMs = aheadMs;
    return true;
  }
}
