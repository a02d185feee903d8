/** Whether a move did harm: the slack of those it concerns fell in both windows after it, and a promise is broken. Pure. */
import type { Window } from './types.ts';

/** Of the promise; smaller falls are chance. */
const FELL = 0.1;
const WINDOWS = 2;

/** Share of the promise that is left: 0.2 is a fifth below it, negative above. null: nothing is promised, or nothing was asked. */
export function slackOf({ kernels, observations }: Window, name: string): number | null {
  const index = kernels.findIndex((kernel) => kernel.name === name);
  const { promiseMs = null } = kernels[index] ?? {};
  const { known = false, p99Ms = null } = observations[index] ?? {};
  return !known || promiseMs === null || p99Ms === null ? null : (promiseMs - p99Ms) / promiseMs;
}

export class Judge {
  readonly #names: readonly string[];
  readonly #before: number | null;
  #fell = 0;
  #seen = 0;

  /** `window`: the one in which the move was decided; `names`: whom it concerns. */
  constructor(window: Window, names: readonly string[]) {
    this.#names = names;
    this.#before = least(window, names);
  }

  /** One more window after the move. undefined = it cannot be told yet. */
  hear(window: Window): 'harm' | 'none' | undefined {
    const now = least(window, this.#names);
    this.#seen += 1;
    if (this.#before !== null && now !== null && now < 0 && now < this.#before - FELL) this.#fell += 1;
    if (this.#seen < WINDOWS) return undefined;
    return this.#fell === WINDOWS ? 'harm' : 'none';
  }
}

function least(window: Window, names: readonly string[]): number | null {
  const all = names.flatMap((name) => slackOf(window, name) ?? []);
  return all.length === 0 ? null : Math.min(...all);
}
