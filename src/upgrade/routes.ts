import type { Handlers } from '../core/route.ts';
import type { upgradeApi } from './api.ts';
import type { Upgrader } from './upgrader.ts';

export const upgradeHandlers = (upgrader: Upgrader): Handlers<typeof upgradeApi> => ({
  upgrade: ({ params, body, progress, signal }) => upgrader.upgrade(params.name, body, progress, signal),
});
