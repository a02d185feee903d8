/** What happened, for people and programs: the last events in memory, and those who listen. */
import { plainText } from '../sys/text.ts';

/** Kept for clients that come back with the number of the last event they saw. */
const KEPT = 1024;
/** Of one instance, channel or service, while there are others' that are older. */
const MOST_OF_ONE = KEPT / 64;
/** Of the text of one: guests have a say in it, and all of these are kept. */
const MAX_MESSAGE = 1000;

/** Which types there are is told by those who tell them: each capability in its contract. */
export interface DaemonEvent {
  /** Grows by one per event within a state directory. */
  sequence: number;
  at: string;
  type: string;
  /** Of the instance, the channel or the service. */
  name: string;
  id: string;
  message: string;
}

export class EventLog {
  readonly #kept: DaemonEvent[] = [];
  /** How many are kept of each id. */
  readonly #counts = new Map<string, number>();
  readonly #listeners = new Set<(event: DaemonEvent) => void>();
  readonly #nextSequence: () => number;

  constructor(nextSequence: () => number) {
    this.#nextSequence = nextSequence;
  }

  tell(event: Omit<DaemonEvent, 'sequence'>): void {
    const message = plainText(event.message, MAX_MESSAGE);
    const full = { sequence: this.#nextSequence(), ...event, message };
    this.#kept.push(full);
    this.#count(full.id, 1);
    if (this.#kept.length > KEPT) this.#forget();
    for (const listener of [...this.#listeners]) listener(full);
  }

  /** The oldest, but where one has much happen, at will, the oldest of that: it takes no place of others'. */
  #forget(): void {
    const most = [...this.#counts].reduce((most, each) => (each[1] > most[1] ? each : most));
    const isMuch = most[1] > MOST_OF_ONE;
    const at = isMuch ? this.#kept.findIndex(({ id }) => id === most[0]) : 0;
    const [forgotten] = this.#kept.splice(at, 1);
    this.#count(forgotten!.id, -1);
  }

  #count(id: string, more: number): void {
    const count = (this.#counts.get(id) ?? 0) + more;
    if (count === 0) this.#counts.delete(id);
    else this.#counts.set(id, count);
  }

  /** Events kept with a number above `sequence`. */
  since(sequence: number): DaemonEvent[] {
    return this.#kept.filter((event) => event.sequence > sequence);
  }

  /** Returns what ends it. */
  listen(listener: (event: DaemonEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
