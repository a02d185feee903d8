/** Upgrades of instances, as one thing that a daemon can do. */
import { served } from '../core/route.ts';
import type { Surroundings } from '../core/surroundings.ts';
import { upgradeApi } from './api.ts';
import { upgradeHandlers } from './routes.ts';
import { Upgrader, type UpgraderOptions } from './upgrader.ts';

export { type UpgradeStep, upgradeExecutors } from './steps.ts';

export function upgradeCapability(
  { mutex, events, clock, journal }: Surroundings,
  given: Pick<UpgraderOptions, 'instances' | 'hostPool' | 'services' | 'steps'>,
) {
  const upgrader = new Upgrader({ ...given, mutex, events, clock, journal });
  return {
    name: 'upgrades',
    routes: served(upgradeApi, upgradeHandlers(upgrader)),
    /** Kernels may have to end for it, for which nobody waits but who is to change the same. */
    async recover() {
      void upgrader.recover().catch((error) => journal.error('taking up upgrades', error));
    },
  };
}
