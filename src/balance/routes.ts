/** Sizes of kernels, what moves between them and who decides on it, as the API asks for them. */
import type { Handlers } from '../core/route.ts';
import type { Instances } from '../instance/contract.ts';
import type { Clock } from '../sys/clock.ts';
import type { balanceApi } from './api.ts';
import type { Balancer } from './balancer.ts';
import type { DecisionLog } from './decision-log.ts';
import type { Moves } from './moves.ts';
import { statusOf } from './status.ts';

const DAY_SECONDS = 86_400;
const HOUR_SECONDS = 3600;

interface Parts {
  moves: Moves;
  balancer: Balancer;
  decisions: DecisionLog;
  clock: Clock;
  instances: Pick<Instances, 'get'>;
}

/** Sizes of kernels, what moves between them, and who decides on it. */
export function balanceHandlers({ moves, balancer, decisions, clock, instances }: Parts): Handlers<typeof balanceApi> {
  const status = () => statusOf(balancer, decisions, clock.now());
  return {
    resize: (call) => moves.resize(call.params.name, call.body, call.progress, call.signal),
    move: (call) => moves.move(call.body, call.progress, call.signal),
    balance: status,
    async setBalance({ body }) {
      await balancer.set(body);
      return status();
    },
    decisions({ query: { kernel, since = DAY_SECONDS } }) {
      // Throws for a name that nobody has or had.
      const whose = kernel === undefined || decisions.knows(kernel) ? kernel : instances.get(kernel).name;
      return decisions.since(clock.now() - since * 1000, whose);
    },
    holdSize({ params, body }) {
      balancer.hold(params.name, body.seconds === 0 ? null : clock.now() + body.seconds * 1000);
      return status();
    },
    async replay({ body }) {
      const { replay } = await import('./replay.ts');
      const windows = balancer.recorder.since(clock.now() / 1000 - (body.since ?? HOUR_SECONDS));
      return replay(await balancer.policy(body.policy), windows);
    },
  };
}
