/** Channels of a daemon that manages none. */
import type { ChannelManager } from '../channel/index.ts';
import { PolykernelError } from '../sys/errors.ts';

const notFound = (name: string) =>
  new PolykernelError('not-found', `there is no channel ${JSON.stringify(name)}`, {
    field: 'name',
    value: name,
    hint: 'See which there are: pk channel ls',
  });

const unavailable = (value: unknown) =>
  new PolykernelError('unavailable', 'this daemon manages no channels', {
    field: 'name',
    value,
    hint: 'Use a daemon that does.',
  });

export const noChannels: ChannelManager = {
  list: () => [],
  get(name) {
    throw notFound(name);
  },
  create: async (request) => {
    throw unavailable((request as { name?: unknown } | null)?.name);
  },
  remove: async (name) => {
    throw unavailable(name);
  },
};
