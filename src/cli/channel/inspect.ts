import { inspect } from '../kit/inspect.ts';

export const command = inspect(
  'channel',
  ['pk channel inspect orders', 'both ends: who is attached, what they sent and took'],
  (client, name) => client.channel(name),
);
