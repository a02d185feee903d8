/** What a watchdog that runs out, and is silent otherwise, says of who feeds it. */

/** INVARIANT: once it ran out, it counts as unfed until the guest has answered what it was asked since, for it tells that but once. */
export class Watchdog {
  /** Otherwise it says nothing. */
  isFed = false;
  #beats = 0;
  #ranOutMs: number | undefined;

  ranOut(nowMs = performance.now()): void {
    this.#ranOutMs = nowMs;
  }

  /** Grows from call to call unless it ran out. `answeredMs`: when the guest was asked what it last answered; what it says else it may have said before. */
  beats(answeredMs: number | undefined): number | 'none' | undefined {
    if (!this.isFed) return undefined;
    if (this.#ranOutMs !== undefined && answeredMs !== undefined && answeredMs > this.#ranOutMs)
      this.#ranOutMs = undefined;
    return this.#ranOutMs === undefined ? ++this.#beats : 'none';
  }
}
