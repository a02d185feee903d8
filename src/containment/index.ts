/** Proof of containment, as one thing that a daemon can do. */
import { served } from '../core/route.ts';
import type { Surroundings } from '../core/surroundings.ts';
import { containmentApi } from './api.ts';
import { trialTable } from './record.ts';
import { containmentHandlers } from './routes.ts';
import { Trials, type TrialsOptions } from './trials.ts';

export function containmentCapability(around: Surroundings, given: Pick<TrialsOptions, 'instances' | 'health'>) {
  const trials = new Trials({ ...around, ...given, records: around.store.table(trialTable) });
  const { journal } = around;
  return {
    name: 'trials of containment',
    routes: served(containmentApi, containmentHandlers(trials)),
    checks: async () => (await import('./checks.ts')).containmentChecks(),
    /** Nobody waits for kernels that are to end for it. */
    recover: async () => void trials.recover().catch((error) => journal.error('removing what trials left', error)),
    close: (farewell: boolean) => trials.close(farewell),
  };
}
