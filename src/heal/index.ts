/** Healing, as one thing that a daemon can do. */
import { familiesOf } from '../core/metric.ts';
import { served } from '../core/route.ts';
import type { Surroundings } from '../core/surroundings.ts';
import { healApi } from './api.ts';
import { Healer, type HealerOptions } from './healer.ts';
import { type Held, Holds } from './holds.ts';
import { HealingLog, healingTable } from './log.ts';
import { healMetrics } from './metrics.ts';
import { healHandlers } from './routes.ts';

export function healCapability(
  { store, events, clock, journal }: Surroundings,
  given: Pick<HealerOptions, 'instances' | 'health' | 'steps'>,
) {
  const log = new HealingLog(store.table(healingTable), (id, error) =>
    journal.error(`the record of the healing ${id} cannot be read and is ignored`, error),
  );
  const kept = store.value<Held>('heal-holds', 'who is not to be healed');
  const healer = new Healer({ ...given, log, events, clock, journal }, (onEnd) => new Holds(kept, clock, onEnd));
  return {
    name: 'healing',
    healer,
    log,
    routes: served(healApi, healHandlers({ healer, log, clock, instances: given.instances })),
    metrics: () => familiesOf(healMetrics, healer.list()),
    recover: () => healer.recover(),
    close: () => healer.close(),
  };
}
