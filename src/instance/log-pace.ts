/** How fast the output of workloads is brought to their logs: what is printed faster waits in its guest, as with a slow reader. */
import type { Clock } from '../sys/clock.ts';

const MIB = 2 ** 20;
/** Of each log: as much at once as it keeps, and then so much a second without regard to others. */
const OWN = { rate: MIB, saved: 16 * MIB };
/** Of all logs of this process together, besides. */
const SHARED = { rate: 16 * MIB, saved: 16 * MIB };

/** Bytes that may be written, which come back with time. */
export class Allowance {
  readonly #rate: number;
  readonly #saved: number;
  #left: number;
  #filledAt: number | undefined;

  /** Default: that of all logs together. */
  constructor({ rate, saved }: { rate: number; saved: number } = SHARED) {
    this.#rate = rate;
    this.#saved = saved;
    this.#left = saved;
  }

  /** False where that is more than there is: then nothing is taken. */
  take(bytes: number, nowMs: number): boolean {
    const sinceMs = Math.max(0, nowMs - (this.#filledAt ?? nowMs));
    this.#filledAt = nowMs;
    this.#left = Math.min(this.#saved, this.#left + (sinceMs / 1000) * this.#rate);
    if (bytes > this.#left) return false;
    this.#left -= bytes;
    return true;
  }

  /** Takes what is not there yet; in how many milliseconds it is. */
  owe(bytes: number): number {
    this.#left -= bytes;
    return Math.max(1, Math.ceil((-this.#left / this.#rate) * 1000));
  }
}

/** Of this process. */
const everybody = new Allowance();

export class LogPace {
  readonly #clock: Clock;
  readonly #own = new Allowance(OWN);
  readonly #shared: Allowance;

  constructor(clock: Clock, shared = everybody) {
    this.#clock = clock;
    this.#shared = shared;
  }

  /** So much is written: milliseconds until there is to be more, 0 = at once. */
  charge(bytes: number): number {
    const now = this.#clock.monotonic();
    if (this.#own.take(bytes, now) || this.#shared.take(bytes, now)) return 0;
    return this.#own.owe(bytes);
  }
}
