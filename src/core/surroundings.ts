/** What every capability of a daemon finds around it. */
import type { Clock } from '../sys/clock.ts';
import type { Layout } from '../sys/paths.ts';
import type { EventLog } from './events.ts';
import type { Journal } from './journal.ts';
import type { Mutex } from './mutex.ts';
import type { Store } from './store.ts';

export interface Surroundings {
  readonly paths: Layout;
  readonly store: Store;
  readonly events: EventLog;
  readonly journal: Journal;
  readonly clock: Clock;
  /** What plans and changes of the machine exclude each other by. */
  readonly mutex: Mutex;
}
