/** Services, as one thing that a daemon can do. */
import { familiesOf } from '../core/metric.ts';
import { served } from '../core/route.ts';
import type { Surroundings } from '../core/surroundings.ts';
import { serviceApi } from './api.ts';
import type { Endpoints } from './contract.ts';
import { serviceMetrics } from './metrics.ts';
import { serviceTable } from './record.ts';
import { serviceHandlers } from './routes.ts';
import { Services } from './services.ts';
import { serviceExecutors } from './steps.ts';

/** `endpoints`: where instances can be reached. */
export function serviceCapability(around: Surroundings, endpoints: Endpoints) {
  const { paths, store } = around;
  const services = new Services({
    ...around,
    directory: paths.haproxy,
    endpoints,
    records: store.table(serviceTable),
  });
  return {
    name: 'services',
    services,
    routes: served(serviceApi, serviceHandlers(services)),
    executors: serviceExecutors(services),
    checks: async () => (await import('./checks.ts')).serviceChecks(),
    metrics: () => familiesOf(serviceMetrics, services.known()),
    recover: () => services.recover(),
    close: () => services.close(),
  };
}
