/** Numbers of healing for Prometheus: a row for each family. */
import { type FamilyOf, familiesFor } from '../core/metric.ts';
import type { HealStatus } from './types.ts';

const heal = familiesFor<HealStatus>('polykernel_heal_', ({ name }) => ({ instance: name }));

export const healMetrics: readonly FamilyOf<HealStatus>[] = [
  heal.gauge('held', 'Whether nothing is healed of it: it is held off, or its health is acknowledged.', (status) =>
    Number(status.heldUntil !== null || status.acknowledged),
  ),
  heal.gauge('attempt', 'Which restart in a row the last healing was.', ({ last }) => last?.attempt ?? 0),
  heal.gauge('seconds', 'How long the last healing took, until a new kernel was up.', ({ last }) =>
    last?.tookMs == null ? null : last.tookMs / 1000,
  ),
];
