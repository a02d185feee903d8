/** Healing, as the API asks for it. */
import type { Handlers } from '../core/route.ts';
import type { Instances } from '../instance/contract.ts';
import type { Clock } from '../sys/clock.ts';
import type { healApi } from './api.ts';
import type { Healer } from './healer.ts';
import type { HealingLog } from './log.ts';

interface Parts {
  healer: Healer;
  log: HealingLog;
  clock: Clock;
  instances(): Pick<Instances, 'get'>;
}

export const healHandlers = ({ healer, log, clock, instances }: Parts): Handlers<typeof healApi> => ({
  heal: () => healer.list(),
  healings({ query: { since, name } }) {
    // Throws for a name that nobody has or had.
    const whose = name === undefined || log.knows(name) ? name : instances().get(name).name;
    return log.since(since === undefined ? Number.NEGATIVE_INFINITY : clock.now() - since * 1000, whose);
  },
  holdHealing: ({ params, body: { seconds } }) => healer.hold(params.name, seconds === 0 ? null : seconds * 1000),
});
