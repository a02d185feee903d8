import type { Handlers } from '../core/route.ts';
import type { poolApi } from './api.ts';
import type { Resources } from './resources.ts';

/** The machine and its pool. */
export const poolHandlers = (resources: Resources): Handlers<typeof poolApi> => ({
  topology: () => resources.topology(),
  machine: () => resources.machine(),
  pool: () => resources.pool(),
  initPool: ({ body: { dryRun, ...request } }) => resources.init(request, dryRun),
  growPool: ({ body: { dryRun, ...request } }) => resources.grow(request, dryRun),
  shrinkPool: ({ body: { dryRun, ...request } }) => resources.shrink(request, dryRun),
  releasePool: () => resources.release(),
});
