import type { Handlers } from '../core/route.ts';
import type { stackApi } from './api.ts';
import type { Stacks } from './apply.ts';

/** Plans of stack files, and their execution. */
export const stackHandlers = (stacks: Stacks): Handlers<typeof stackApi> => ({
  plan: ({ body }) => stacks.plan(body),
  apply: (call) => stacks.apply(call.body, call.progress, call.signal),
  destroy: (call) => stacks.destroy(call.body.stack, call.progress, call.signal),
});
