import type { Handlers } from '../core/route.ts';
import type { upgradeApi } from './api.ts';
import type { Rollouts } from './rollouts.ts';
import type { Upgrader } from './upgrader.ts';

export const upgradeHandlers = (upgrader: Upgrader, rollouts: Rollouts): Handlers<typeof upgradeApi> => ({
  upgrade: ({ params, body, progress, signal }) => upgrader.upgrade(params.name, body, progress, signal),
  rollOut: ({ body, progress, signal }) => rollouts.begin(body, progress, signal),
  rollout: () => rollouts.get(),
  stopRollout: () => rollouts.stop(),
});
