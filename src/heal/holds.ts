/** Who is not to be healed for a while, whatever happens: somebody looks at it. Kept across daemons. */
import type { Clock } from '../sys/clock.ts';

/** A timer waits no longer. */
const MOST_MS = 2 ** 31 - 1;

/** By id of the instance, until when: ISO 8601 UTC. */
export type Held = Readonly<Record<string, string>>;

export class Holds {
  readonly #kept: { get(): Held | null; put(value: Held): void };
  readonly #clock: Clock;
  #held: Held;
  readonly #cancels = new Map<string, () => void>();
  readonly #onEnd: (id: string) => void;

  constructor(kept: { get(): Held | null; put(value: Held): void }, clock: Clock, onEnd: (id: string) => void) {
    this.#kept = kept;
    this.#clock = clock;
    this.#onEnd = onEnd;
    this.#held = kept.get() ?? {};
    for (const id of Object.keys(this.#held)) this.#arm(id);
  }

  /** Until when; null = it is not held. */
  until(id: string): string | null {
    const until = this.#held[id];
    return until !== undefined && Date.parse(until) > this.#clock.now() ? until : null;
  }

  /** null ends it. Throws `internal` when it cannot be written. */
  set(id: string, untilMs: number | null): void {
    const { [id]: before, ...others } = this.#held;
    if (before === undefined && untilMs === null) return;
    const held = untilMs === null ? others : { ...others, [id]: new Date(untilMs).toISOString() };
    this.#kept.put(held);
    this.#held = held;
    this.#arm(id);
  }

  close(): void {
    for (const cancel of this.#cancels.values()) cancel();
    this.#cancels.clear();
  }

  #arm(id: string): void {
    this.#cancels.get(id)?.();
    this.#cancels.delete(id);
    const until = this.#held[id];
    if (until === undefined) return;
    const leftMs = Math.min(Math.max(0, Date.parse(until) - this.#clock.now()), MOST_MS);
    this.#cancels.set(
      id,
      this.#clock.after(leftMs, () => {
        if (this.until(id) !== null) return this.#arm(id);
        this.set(id, null);
        this.#onEnd(id);
      }),
    );
  }
}
