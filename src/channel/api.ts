/** Channels in the API: what is asked, what is answered, and the routes. */
import { del, get, post, routes } from '../core/route.ts';
import { count, flag, id, named, oneOf, orNull, record, request, text, time } from '../core/schema.ts';
import { channelRequestSchema } from './request.ts';
import type { ChannelEnd, ChannelStatus } from './types.ts';

export { channelRequestSchema };

const end = named(
  'ChannelEnd',
  record<ChannelEnd>(
    {
      owner: { ...text, description: 'Name of an instance, or `host`' },
      visible: {
        ...oneOf('attached', 'pending', 'absent'),
        description:
          'attached: its kernel sees the memory. pending: its kernel runs without it. absent: no kernel of it runs',
      },
      reason: { ...orNull(text), description: 'What has to happen before it is visible' },
      epoch: { ...count, description: 'Times a program attached' },
      state: oneOf('detached', 'open', 'closed', 'error', 'invalid'),
      fault: text,
      pid: { ...count, description: 'As the program sees itself; 0 = unknown' },
      asleep: flag,
      messages: { ...count, description: 'Sent or released' },
      bytes: { ...count, description: 'Of these messages' },
      stalls: { ...count, description: 'Times it slept because the ring was full or empty' },
      drops: { ...count, description: 'Messages dropped because the ring was full' },
      bells: { ...count, description: 'Times it woke the other end' },
    },
    ['fault'],
  ),
);

const channel = named(
  'ChannelStatus',
  record<ChannelStatus>({
    id,
    name: text,
    sizeBytes: count,
    largestMessage: { ...count, description: 'Bytes' },
    state: oneOf('ok', 'error'),
    fault: orNull(text),
    depthBytes: { ...count, description: 'In use, headers and padding included' },
    from: end,
    to: end,
    createdAt: time,
    stack: orNull(text),
  }),
);

export const channelApi = routes('channels', {
  channels: get('/v1/channels', { summary: 'All channels', list: 'channels', answer: channel }),
  createChannel: post('/v1/channels', {
    summary: 'Create a channel',
    description: 'Its ends need not exist yet. Kernels that can be given memory while they run see it at once.',
    body: channelRequestSchema,
    answer: channel,
    status: 201,
  }),
  channel: get('/v1/channels/:name', { summary: 'One channel', answer: channel }),
  removeChannel: del('/v1/channels/:name', {
    summary: 'Remove a channel',
    description: 'One that a program is attached to only with force, which gives that program an error.',
    query: request({ force: flag }),
  }),
});
