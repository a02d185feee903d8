/** Healing, as one thing that a daemon can do. */
import { familiesOf } from '../core/metric.ts';
import { served } from '../core/route.ts';
import type { Surroundings } from '../core/surroundings.ts';
import { healApi } from './api.ts';
import { Dependants, type DependantsOptions } from './dependants.ts';
import { Healer, type HealerOptions } from './healer.ts';
import { type Held, Holds } from './holds.ts';
import { HealingLog, healingTable } from './log.ts';
import { healMetrics } from './metrics.ts';
import { healHandlers } from './routes.ts';

export function healCapability(
  { store, events, clock, journal }: Surroundings,
  given: Pick<HealerOptions, 'instances' | 'health' | 'steps'> &
    Pick<DependantsOptions, 'instances' | 'steps' | 'peers'>,
) {
  const log = new HealingLog(store.table(healingTable), (id, error) =>
    journal.error(`the record of the healing ${id} cannot be read and is ignored`, error),
  );
  const kept = store.value<Held>('heal-holds', 'who is not to be healed');
  const healer = new Healer({ ...given, log, events, clock, journal }, (onEnd) => new Holds(kept, clock, onEnd));
  const isHeld: DependantsOptions['isHeld'] = ({ name }) => {
    const { heldUntil, acknowledged } = healer.status(name);
    return heldUntil !== null || acknowledged;
  };
  const dependants = new Dependants({ ...given, isHeld, events, clock, journal });
  return {
    name: 'healing',
    healer,
    log,
    routes: served(healApi, healHandlers({ healer, log, clock, instances: given.instances })),
    metrics: () => familiesOf(healMetrics, healer.list()),
    async recover() {
      dependants.recover();
      await healer.recover();
    },
    close() {
      dependants.close();
      healer.close();
    },
  };
}
