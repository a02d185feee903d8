/** The health of instances, as one thing that a daemon can do. */
import { familiesOf } from '../core/metric.ts';
import { served } from '../core/route.ts';
import type { Surroundings } from '../core/surroundings.ts';
import type { Provider } from '../instance/contract.ts';
import { type AlertTarget, deliver } from './alert-target.ts';
import { Alerter } from './alerter.ts';
import { healthApi } from './api.ts';
import { healthMetrics } from './metrics.ts';
import { HealthMonitor, type MonitorOptions } from './monitor.ts';
import { healthHandlers } from './routes.ts';

export function healthCapability(
  { events, clock, journal, store }: Surroundings,
  given: Pick<MonitorOptions, 'instances' | 'seen' | 'changed'>,
) {
  const monitor = new HealthMonitor({ ...given, events, clock, journal });
  const alerter = new Alerter({
    kept: store.value<AlertTarget>('alert', 'who gets alerts'),
    deliver,
    healthOf: (name) => monitor.find(name),
    ...{ events, clock, journal },
  });
  const provider: Provider = { name: 'its health', kernelUp: (record, kernel) => monitor.kernelUp(record, kernel) };
  return {
    name: 'health',
    monitor,
    provider,
    routes: served(healthApi, healthHandlers(monitor, alerter)),
    metrics: () => familiesOf(healthMetrics, monitor.list()),
    close: () => {
      alerter.close();
      monitor.close();
    },
  };
}
