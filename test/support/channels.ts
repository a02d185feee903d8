/** Channels for tests: a status to vary, and a manager that keeps them in memory. */
import type { ChannelEnd, ChannelManager, ChannelRequest, ChannelStatus } from '../../src/channel/contract.ts';
import { PolykernelError } from '../../src/sys/errors.ts';

export function channelEnd(change: Partial<ChannelEnd> = {}): ChannelEnd {
  return {
    owner: 'host',
    visible: 'attached',
    reason: null,
    epoch: 1,
    state: 'open',
    pid: 7,
    asleep: false,
    messages: 0,
    bytes: 0,
    stalls: 0,
    drops: 0,
    bells: 0,
    ...change,
  };
}

export function channelStatus(change: Partial<ChannelStatus> = {}): ChannelStatus {
  return {
    id: 'a'.repeat(32),
    name: 'orders',
    sizeBytes: 2 ** 20,
    largestMessage: 2 ** 19 - 8,
    state: 'ok',
    fault: null,
    depthBytes: 0,
    from: channelEnd(),
    to: channelEnd({ owner: 'web' }),
    createdAt: '2026-11-23T10:00:00.000Z',
    stack: null,
    ...change,
  };
}

/** Refuses to remove a channel whose sender is `open`, unless forced. */
export function fakeChannels(): ChannelManager {
  const all = new Map<string, ChannelStatus>();
  const get = (name: string) => {
    const channel = all.get(name);
    if (channel === undefined)
      throw new PolykernelError('not-found', `there is no channel ${name}`, { field: 'name', value: name });
    return channel;
  };
  return {
    list: () => [...all.values()].sort((a, b) => a.name.localeCompare(b.name)),
    get,
    async create(request) {
      const { name, from = 'host', to = 'host', sizeBytes = 2 ** 20 } = request as ChannelRequest;
      if (all.has(name)) throw new PolykernelError('conflict', `there is a channel ${name} already`);
      const state = 'detached';
      const ends = { from: channelEnd({ owner: from, state }), to: channelEnd({ owner: to, state }) };
      const channel = channelStatus({ name, sizeBytes, ...ends });
      all.set(name, channel);
      return channel;
    },
    async remove(name, force = false) {
      if (get(name).from.state === 'open' && !force)
        throw new PolykernelError('conflict', `a program is attached to the channel ${name}`);
      all.delete(name);
    },
  };
}
