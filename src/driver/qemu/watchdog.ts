/** What a watchdog that runs out, and is silent otherwise, says of who feeds it. */

/** What the line brings so soon after it ran out was said before. */
const LATE_MS = 1_500;

/** INVARIANT: once it ran out, it counts as unfed until the guest is heard again, for it tells that but once. */
export class Watchdog {
  /** Otherwise it says nothing. */
  isFed = false;
  #beats = 0;
  #ranOutMs: number | undefined;
  #heard: number | undefined;

  ranOut(nowMs = performance.now()): void {
    this.#ranOutMs = nowMs;
    this.#heard = undefined;
  }

  /** Grows from call to call unless it ran out. `heard`: grows with what the guest says over its line. */
  beats(heard: number, nowMs = performance.now()): number | 'none' | undefined {
    if (!this.isFed) return undefined;
    if (this.#ranOutMs !== undefined && nowMs - this.#ranOutMs >= LATE_MS) {
      if (this.#heard === undefined) this.#heard = heard;
      else if (this.#heard !== heard) this.#ranOutMs = undefined;
    }
    return this.#ranOutMs === undefined ? ++this.#beats : 'none';
  }
}
