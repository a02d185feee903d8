/** Balancing, as one thing that a daemon can do. */
import { familiesOf } from '../core/metric.ts';
import { served } from '../core/route.ts';
import type { Surroundings } from '../core/surroundings.ts';
import type { ServiceManager } from '../service/contract.ts';
import { balanceApi } from './api.ts';
import { Balancer, type BalancerOptions } from './balancer.ts';
import { DecisionLog, decisionTable } from './decision-log.ts';
import { balanceMetrics } from './metrics.ts';
import { Moves, type MovesOptions } from './moves.ts';
import { balanceHandlers } from './routes.ts';
import type { Settings } from './settings.ts';
import { statusOf } from './status.ts';

interface Given extends Omit<MovesOptions, 'mutex'>, Pick<BalancerOptions, 'stats'> {
  services: Pick<ServiceManager, 'known' | 'steer'>;
}

export function balanceCapability({ mutex, store, events, clock, journal }: Surroundings, given: Given) {
  const { instances, services, stats } = given;
  const moves = new Moves({ ...given, mutex });
  const decisions = new DecisionLog(store.table(decisionTable), (id, error) =>
    journal.error(`the record of the decision ${id} cannot be read and is ignored`, error),
  );
  const balancer = new Balancer({
    ...{ instances, services, stats, moves, decisions, events, clock, journal },
    policies: async () => (await import('./policy/policies.ts')).POLICIES,
    memoryLaw: async () => new (await import('./policy/memory.ts')).MemoryLaw(),
    settle: async (window, wishes) => (await import('./policy/settle.ts')).settle(window, wishes),
    promises: () => promisesOf(services.known()),
    kept: store.value<Settings>('balance', 'what balancing was told'),
  });
  return {
    name: 'balancing',
    routes: served(balanceApi, balanceHandlers({ moves, balancer, decisions, clock, instances })),
    metrics: () => familiesOf(balanceMetrics, [statusOf(balancer, decisions, clock.now())]),
    recover: () => balancer.recover(),
    close: () => balancer.close(),
  };
}

/** Of several services that lead to an instance the strictest promise counts. */
function promisesOf(services: ReturnType<ServiceManager['known']>): ReadonlyMap<string, number | null> {
  const promises = new Map<string, number | null>();
  for (const { slo, targets } of services)
    for (const { instance } of targets) {
      const [before, now] = [promises.get(instance) ?? null, slo.latency?.milliseconds ?? null];
      promises.set(instance, before === null ? now : now === null ? before : Math.min(before, now));
    }
  return promises;
}
