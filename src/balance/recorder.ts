/** The windows of the last hour, to be shown to another policy: what it would have done. */
import type { Window } from './types.ts';

const KEPT_SECONDS = 3600;
/** Of kernels in all windows together. */
const MOST_OBSERVATIONS = 100_000;

export class Recorder {
  readonly #windows: Window[] = [];
  #observations = 0;

  add(window: Window): void {
    this.#windows.push(window);
    this.#observations += window.observations.length;
    while (this.#isOver(window.at)) this.#observations -= this.#windows.shift()!.observations.length;
  }

  /** Those that ended at `sinceSeconds` or later; of both groups, in order. */
  since(sinceSeconds: number): Window[] {
    return this.#windows.filter(({ at }) => at >= sinceSeconds);
  }

  #isOver(now: number): boolean {
    const first = this.#windows[0];
    return first !== undefined && (first.at < now - KEPT_SECONDS || this.#observations > MOST_OBSERVATIONS);
  }
}
