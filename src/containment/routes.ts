import type { Handlers } from '../core/route.ts';
import type { containmentApi } from './api.ts';
import type { Trials } from './trials.ts';

/** Trials of containment. */
export const containmentHandlers = (trials: Trials): Handlers<typeof containmentApi> => ({
  proveContainment: ({ body, progress, signal }) => trials.prove(body, progress, signal),
});
