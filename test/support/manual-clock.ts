/** Time for tests: it passes when they say so, and its time of day is set when they say so. */

import type { Clock } from '../../src/sys/clock.ts';

/** A clock that only moves when told. */
export class ManualClock implements Clock {
  #now = Date.parse('2026-01-01T00:00:00Z');
  /** By how much it was set anew, which timers know nothing of. */
  #shift = 0;
  readonly #timers = new Set<{ due: number; callback: () => void }>();

  now(): number {
    return this.#now + this.#shift;
  }

  after(milliseconds: number, callback: () => void): () => void {
    const timer = { due: this.#now + milliseconds, callback };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  monotonic(): number {
    return this.#now;
  }

  /** Its time of day is set anew by somebody, so much later or earlier. */
  shift(milliseconds: number): void {
    this.#shift += milliseconds;
  }

  /** Milliseconds until each pending timer, in order. */
  pending(): number[] {
    return [...this.#timers].map((timer) => timer.due - this.#now).sort((a, b) => a - b);
  }

  /** Moves on, calling back what comes due, in order. */
  advance(milliseconds: number): void {
    const end = this.#now + milliseconds;
    for (;;) {
      const next = [...this.#timers].filter((timer) => timer.due <= end).sort((a, b) => a.due - b.due)[0];
      if (next === undefined) break;
      this.#timers.delete(next);
      this.#now = Math.max(this.#now, next.due);
      next.callback();
    }
    this.#now = end;
  }
}
