/** The last events in memory, and those who listen. */
import type { InstanceEvent } from '../instance/index.ts';
import { plainText } from '../sys/text.ts';

/** Kept for clients that come back with the number of the last event they saw. */
const KEPT = 1024;
/** Of the text of one: guests have a say in it, and all of these are kept. */
const MAX_MESSAGE = 1000;

export class EventLog {
  readonly #kept: InstanceEvent[] = [];
  readonly #listeners = new Set<(event: InstanceEvent) => void>();
  readonly #nextSequence: () => number;

  constructor(nextSequence: () => number) {
    this.#nextSequence = nextSequence;
  }

  tell(event: Omit<InstanceEvent, 'sequence'>): void {
    const message = plainText(event.message, MAX_MESSAGE);
    const full = { sequence: this.#nextSequence(), ...event, message };
    this.#kept.push(full);
    if (this.#kept.length > KEPT) this.#kept.shift();
    for (const listener of [...this.#listeners]) listener(full);
  }

  /** Events kept with a number above `sequence`. */
  since(sequence: number): InstanceEvent[] {
    return this.#kept.filter((event) => event.sequence > sequence);
  }

  /** Returns what ends it. */
  listen(listener: (event: InstanceEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
