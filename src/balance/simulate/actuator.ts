/** Moves take time: the giver loses a CPU at once, the taker works with it later. The ledger knows it as the taker's from the start. */
import type { Decision } from '../types.ts';
import type { Engine } from './engine.ts';
import type { Case } from './types.ts';

export class Actuator {
  /** CPUs that work for each tenant in the first and in the last part of the step. */
  readonly early: Float64Array;
  readonly later: Float64Array;
  readonly #engines: readonly Engine[];
  readonly #seconds: number;
  readonly #byName: ReadonlyMap<string, number>;
  #coming: { index: number; count: number; at: number }[] = [];

  constructor({ tenants, moveSeconds }: Case, engines: readonly Engine[]) {
    this.#engines = engines;
    this.#seconds = moveSeconds;
    this.#byName = new Map(tenants.map(({ name }, index) => [name, index]));
    this.early = Float64Array.from(engines, ({ cpus }) => cpus);
    this.later = Float64Array.from(this.early);
  }

  /** To the step that begins at `now`. Gives the part of it (0 to 1) after which what is then due has come. */
  advance(now: number, seconds: number): number {
    this.early.set(this.later);
    if (this.#coming.length === 0) return 1;
    let part = 1;
    this.#coming = this.#coming.filter(({ index, count, at }) => {
      if (at >= now + seconds - 1e-9) return true;
      // All that come in one step were decided together, or nearly so.
      part = Math.min(part, Math.max(0, (at - now) / seconds));
      this.later[index]! += count;
      return false;
    });
    return part;
  }

  apply({ move }: Decision, now: number): void {
    if (move.kind !== 'cpu') return;
    if (move.from !== null) {
      const index = this.#byName.get(move.from)!;
      this.#engines[index]!.cpus -= move.count;
      this.later[index]! -= move.count;
    }
    if (move.to === null) return;
    const index = this.#byName.get(move.to)!;
    this.#engines[index]!.cpus += move.count;
    this.#coming.push({ index, count: move.count, at: now + this.#seconds });
  }
}
