/** Bells of one channel towards one end: coalesced, and no more per second than a person's programs can need. */
import type { Clock } from '../sys/clock.ts';

/** A program that sleeps between messages rings a few thousand times a second at most. */
const BELLS_PER_SECOND = 5000;
const BURST = 64;

export class BellThrottle {
  readonly #clock: Clock;
  readonly #ring: () => void;
  #tokens = BURST;
  #filledAt: number;
  #cancel: (() => void) | undefined;

  /** `ring` wakes the end. */
  constructor(clock: Clock, ring: () => void) {
    this.#clock = clock;
    this.#ring = ring;
    this.#filledAt = clock.monotonic();
  }

  /** Rings now, or a little later when there were too many: never not at all. */
  ring(): void {
    if (this.#cancel !== undefined) return;
    const now = this.#clock.monotonic();
    this.#tokens = Math.min(BURST, this.#tokens + ((now - this.#filledAt) / 1000) * BELLS_PER_SECOND);
    this.#filledAt = now;
    if (this.#tokens < 1) {
      this.#cancel = this.#clock.after(Math.ceil(((1 - this.#tokens) * 1000) / BELLS_PER_SECOND), () => {
        this.#cancel = undefined;
        this.ring();
      });
      return;
    }
    this.#tokens -= 1;
    this.#ring();
  }

  close(): void {
    this.#cancel?.();
  }
}
