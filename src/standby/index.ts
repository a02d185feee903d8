/** Standbys, as one thing that a daemon can do. */
import type { Surroundings } from '../core/surroundings.ts';
import type { Instances } from '../instance/contract.ts';
import type { Endpoints } from '../service/contract.ts';
import { Keeper, type KeeperOptions } from './keeper.ts';
import { type KeptPhases, Phases } from './phases.ts';

/** What services have to know of standbys, which they are made with. */
export function standbyPhases({ store }: Surroundings, instances: () => Instances, endpoints: Endpoints) {
  const phases = new Phases(store.value<KeptPhases>('standbys', 'who stands by for whom'), instances);
  const withStandbys: Endpoints = {
    address: (instance) => endpoints.address(instance),
    obstacle: () => endpoints.obstacle(),
    namespace: () => endpoints.namespace(),
    standIn: (instance) => phases.standIn(instance),
    onChange(listener) {
      const ends = [endpoints.onChange(listener), phases.onChange(listener)];
      return () => {
        for (const end of ends) end();
      };
    },
  };
  return { phases, endpoints: withStandbys };
}

export function standbyCapability(
  { events, clock, journal }: Surroundings,
  given: Omit<KeeperOptions, 'events' | 'clock' | 'journal'>,
) {
  const keeper = new Keeper({ ...given, events, clock, journal });
  return {
    name: 'standbys',
    recover: async () => keeper.recover(),
    close: () => keeper.close(),
  };
}
