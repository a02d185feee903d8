import type { Handlers } from '../core/route.ts';
import type { poolApi } from './api.ts';
import type { Resources } from './resources.ts';

/** The machine and its pool. */
export const poolHandlers = (resources: Resources): Handlers<typeof poolApi> => ({
  topology: () => resources.topology(),
  machine: () => resources.machine(),
  pool: () => resources.pool(),
  initPool: ({ body }) => resources.init(body),
  growPool: ({ body }) => resources.grow(body),
  shrinkPool: ({ body }) => resources.shrink(body),
  releasePool: () => resources.release(),
});
