import type { Handlers } from '../core/route.ts';
import type { channelApi } from './api.ts';
import type { ChannelManager } from './types.ts';

/** Rings of shared memory between two ends. */
export const channelHandlers = (channels: ChannelManager): Handlers<typeof channelApi> => ({
  channels: () => channels.list(),
  createChannel: ({ body }) => channels.create(body),
  channel: ({ params }) => channels.get(params.name),
  removeChannel: ({ params, query }) => channels.remove(params.name, query.force),
});
