/** The health of instances, as the API asks for it. */
import type { Handlers } from '../core/route.ts';
import { checkProgram } from './alert-target.ts';
import type { Alerter } from './alerter.ts';
import type { healthApi } from './api.ts';
import type { HealthMonitor } from './monitor.ts';

export const healthHandlers = (monitor: HealthMonitor, alerter: Alerter): Handlers<typeof healthApi> => ({
  health: () => monitor.list(),
  instanceHealth: ({ params }) => monitor.get(params.name),
  alert: () => alerter.status(),
  setAlert: async ({ body }) => {
    const program = body.command?.[0];
    // What is no path is told by set().
    if (program?.startsWith('/')) await checkProgram(program);
    return alerter.set(body);
  },
  acknowledgeHealth: ({ params }) => monitor.acknowledge(params.name),
});
