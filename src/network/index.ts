/** The private network, as one thing that a daemon can do. */
import { join } from 'node:path';
import type { Surroundings } from '../core/surroundings.ts';
import type { Instances } from '../instance/contract.ts';
import { timestamp } from '../sys/clock.ts';
import { Forwards } from './forwards.ts';
import { addressProvider } from './give-address.ts';
import { Network } from './network.ts';

/** `privileged`: it is root's. */
export function networkCapability(
  { paths, events, journal, clock }: Surroundings,
  privileged: boolean,
  instances: () => Pick<Instances, 'list' | 'find'>,
) {
  const network = new Network({
    home: paths.home,
    privileged,
    forwards: new Forwards(join(paths.home, 'forwards')),
    members: () =>
      instances()
        .list()
        .map(({ record }) => record),
    journal,
    isTakingOver: (name) => instances().find(name)?.isTakingOver ?? false,
    lost({ id, spec: { name } }) {
      const message = `${name} is in no network any more: what kept it ended; restart ${name} to join it again`;
      journal.info(message);
      events.tell({ at: timestamp(clock), type: 'network-lost', name, id, message });
    },
  });
  const stopListening = events.listen(({ type, id }) => {
    if (type === 'exited' || type === 'crashed') void network.ended(id);
  });
  return {
    name: 'the private network',
    network,
    provider: addressProvider(network),
    checks: async () => (await import('./checks.ts')).networkChecks(privileged),
    recover: () => network.recover(),
    close: () => stopListening(),
  };
}
