/** The health of instances for Prometheus: a row for each family. */
import { type FamilyOf, familiesFor } from '../core/metric.ts';
import type { Health, HealthStatus } from './types.ts';

const HEALTHS: readonly Health[] = ['unknown', 'healthy', 'starving', 'unhealthy', 'hung', 'lost'];

const health = familiesFor<HealthStatus>('polykernel_health_', ({ name }) => ({ instance: name }));

export const healthMetrics: readonly FamilyOf<HealthStatus>[] = [
  health.row('gauge', 'is', 'Which health an instance has: 1 for that one.', (status) =>
    HEALTHS.map((each) => [{ health: each }, Number(status.health === each)] as const),
  ),
  health.gauge('check_failures', "Failures in a row of the workload's own check.", ({ check }) => check?.failures),
];
