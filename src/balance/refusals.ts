/** Kernels that did not do what a move asked of them: they keep their size for a while, so that nobody else's moves wait for theirs. */
import type { Clock } from '../sys/clock.ts';

const FIRST_MS = 60_000;
const MOST_MS = 3_600_000;

interface Refusal {
  /** By the clock that is never set. */
  untilMs: number;
  forMs: number;
}

/** A guest may refuse whatever it offered before: each time in a row it is left alone for twice as long. */
export class Refusals {
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #refusals = new Map<string, Refusal>();

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock;
  }

  add(name: string): void {
    const before = this.#refusals.get(name);
    const forMs = before === undefined ? FIRST_MS : Math.min(MOST_MS, 2 * before.forMs);
    this.#refusals.set(name, { untilMs: this.#clock.monotonic() + forMs, forMs });
  }

  /** It did what was asked of it. */
  delete(name: string): void {
    this.#refusals.delete(name);
  }

  has(name: string): boolean {
    return (this.#refusals.get(name)?.untilMs ?? 0) > this.#clock.monotonic();
  }

  forgetAllBut(names: ReadonlySet<string>): void {
    for (const name of this.#refusals.keys()) if (!names.has(name)) this.#refusals.delete(name);
  }
}
