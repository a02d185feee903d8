/** The health of instances, as one thing that a daemon can do. */
import { familiesOf } from '../core/metric.ts';
import { served } from '../core/route.ts';
import type { Surroundings } from '../core/surroundings.ts';
import type { Provider } from '../instance/contract.ts';
import { healthApi } from './api.ts';
import { healthMetrics } from './metrics.ts';
import { HealthMonitor, type MonitorOptions } from './monitor.ts';
import { healthHandlers } from './routes.ts';

export function healthCapability(
  { events, clock, journal }: Surroundings,
  given: Pick<MonitorOptions, 'instances' | 'seen' | 'changed'>,
) {
  const monitor = new HealthMonitor({ ...given, events, clock, journal });
  const provider: Provider = { name: 'its health', kernelUp: (record, kernel) => monitor.kernelUp(record, kernel) };
  return {
    name: 'health',
    monitor,
    provider,
    /** How an instance does. Throws `not-found`. */
    get: (name: string) => monitor.get(name),
    routes: served(healthApi, healthHandlers(monitor)),
    metrics: () => familiesOf(healthMetrics, monitor.list()),
    close: () => monitor.close(),
  };
}
