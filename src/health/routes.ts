/** The health of instances, as the API asks for it. */
import type { Handlers } from '../core/route.ts';
import type { healthApi } from './api.ts';
import type { HealthMonitor } from './monitor.ts';

export const healthHandlers = (monitor: HealthMonitor): Handlers<typeof healthApi> => ({
  health: () => monitor.list(),
  instanceHealth: ({ params }) => monitor.get(params.name),
  acknowledgeHealth: ({ params }) => monitor.acknowledge(params.name),
});
