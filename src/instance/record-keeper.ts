/** Keeps records of instances in the store; what cannot be written, because the disk is full, is written when it can be. */
import type { Journal } from '../core/journal.ts';
import type { Records } from '../core/table.ts';
import type { Clock } from '../sys/clock.ts';
import type { InstanceRecord } from './record.ts';

const AGAIN_MS = 5_000;

export class RecordKeeper {
  readonly #store: Records<InstanceRecord>;
  readonly #clock: Clock;
  readonly #journal: Journal;
  readonly #unsaved = new Map<string, InstanceRecord>();
  /** Foreground instances that the store has. */
  readonly #foreground = new Set<string>();

  constructor(store: Records<InstanceRecord>, clock: Clock, journal: Journal) {
    this.#store = store;
    this.#clock = clock;
    this.#journal = journal;
  }

  /** Never throws. Foreground instances are kept while their workload runs, for which their clients come back to another daemon. */
  save(record: InstanceRecord): void {
    const isForeground = record.spec.attached;
    try {
      if (isForeground && !isRunning(record)) return void this.delete(record);
      this.#store.put(record);
      if (isForeground) this.#foreground.add(record.id);
      this.#unsaved.delete(record.id);
    } catch (error) {
      if (this.#unsaved.size === 0) this.#clock.after(AGAIN_MS, () => this.saveAgain());
      this.#unsaved.set(record.id, record);
      this.#journal.error(`keeping the record of ${record.spec.name}`, error);
    }
  }

  /** What could not be written so far. */
  saveAgain(): void {
    const records = [...this.#unsaved.values()];
    this.#unsaved.clear();
    for (const record of records) this.save(record);
  }

  /** What the store keeps of it is gone for good. Throws `internal` when that cannot be written. */
  delete({ id, spec }: InstanceRecord): void {
    if (!spec.attached || this.#foreground.delete(id)) this.#store.delete(id);
    this.#unsaved.delete(id);
  }

  /** One that the store has from an earlier daemon. */
  found({ id, spec }: InstanceRecord): void {
    if (spec.attached) this.#foreground.add(id);
  }
}

const isRunning = ({ session, machine }: InstanceRecord): boolean =>
  session !== null && (machine.state === 'running' || machine.state === 'paused');
