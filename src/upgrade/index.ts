/** Upgrades of instances, as one thing that a daemon can do. */
import { served } from '../core/route.ts';
import type { Surroundings } from '../core/surroundings.ts';
import { upgradeApi } from './api.ts';
import type { Rollout } from './requests.ts';
import { Rollouts, type RolloutsOptions } from './rollouts.ts';
import { upgradeHandlers } from './routes.ts';
import { Upgrader, type UpgraderOptions } from './upgrader.ts';

export { type UpgradeStep, upgradeExecutors } from './steps.ts';

export function upgradeCapability(
  { mutex, events, clock, journal, store }: Surroundings,
  given: Pick<UpgraderOptions, 'instances' | 'hostPool' | 'services' | 'steps'> & Pick<RolloutsOptions, 'steps'>,
) {
  const upgrader = new Upgrader({ ...given, mutex, events, clock, journal });
  const kept = store.value<Rollout>('rollout', 'the upgrade of all');
  const rollouts = new Rollouts({ ...given, upgrader, kept, clock, journal });
  return {
    name: 'upgrades',
    upgrader,
    routes: served(upgradeApi, upgradeHandlers(upgrader, rollouts)),
    /** Kernels may have to end for it, for which nobody waits but who is to change the same. */
    async recover() {
      void upgrader
        .recover()
        .finally(() => rollouts.recover())
        .catch((error) => journal.error('taking up upgrades', error));
    },
    close: () => rollouts.close(),
  };
}
