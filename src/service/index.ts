/** Services, as one thing that a daemon can do. */
import type { Surroundings } from '../core/surroundings.ts';
import type { Endpoints } from './contract.ts';
import { serviceTable } from './record.ts';
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
    executors: serviceExecutors(services),
    checks: async () => (await import('./checks.ts')).serviceChecks(),
    recover: () => services.recover(),
    close: () => services.close(),
  };
}
