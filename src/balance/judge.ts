/** Whether a move did harm: the slack of those it concerns fell in both windows after it, and a promise is broken. Pure. */
import type { Decision, Window } from './types.ts';

/** Of the promise; smaller falls are chance. */
const FELL = 0.1;
const WINDOWS = 2;
/** Of the CPUs that it got: who uses as much of them is helped, though what came before is still seen in its latency. */
const USED = 0.25;

/** Share of the promise that is left: 0.2 is a fifth below it, negative above. null: nothing is promised, or nothing was asked. */
export function slackOf({ kernels, observations }: Window, name: string): number | null {
  const index = kernels.findIndex((kernel) => kernel.name === name);
  const { promiseMs = null } = kernels[index] ?? {};
  const { known = false, p99Ms = null } = observations[index] ?? {};
  return !known || promiseMs === null || p99Ms === null ? null : (promiseMs - p99Ms) / promiseMs;
}

/** One of those whom the move concerns. */
interface Party {
  name: string;
  slack: number | null;
  /** CPUs' worth that it has to use for the move to be of use to it; null = it gave. */
  helped: number | null;
}

export class Judge {
  readonly #parties: readonly Party[];
  readonly #harmed = new Set<string>();
  #fell = 0;
  #seen = 0;

  /** `window`: the one in which the move was decided. */
  constructor(window: Window, { giver, taker }: Pick<Decision, 'giver' | 'taker'>) {
    const party = (name: string, gained: number | null): Party => {
      const { busy = 0 } = window.observations[window.kernels.findIndex((kernel) => kernel.name === name)] ?? {};
      return { name, slack: slackOf(window, name), helped: gained === null ? null : busy + gained * USED };
    };
    this.#parties = [
      ...(giver === undefined ? [] : [party(giver.kernel, null)]),
      ...(taker === undefined ? [] : [party(taker.kernel, taker.after - taker.before)]),
    ];
  }

  /** Those whose slack fell. */
  get harmed(): string[] {
    return [...this.#harmed];
  }

  /** One more window after the move. undefined = it cannot be told yet. */
  hear(window: Window): 'harm' | 'none' | undefined {
    this.#seen += 1;
    const fallen = this.#parties.filter((party) => fell(party, window));
    for (const { name } of fallen) this.#harmed.add(name);
    if (fallen.length > 0) this.#fell += 1;
    if (this.#seen < WINDOWS) return undefined;
    return this.#fell === WINDOWS ? 'harm' : 'none';
  }
}

function fell({ name, slack, helped }: Party, window: Window): boolean {
  const now = slackOf(window, name);
  if (slack === null || now === null || now >= 0 || now >= slack - FELL) return false;
  const { busy = 0 } = window.observations[window.kernels.findIndex((kernel) => kernel.name === name)] ?? {};
  return helped === null || busy < helped;
}
