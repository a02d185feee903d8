import { onEach } from '../kit/on-each.ts';

export const command = onEach(
  { summary: 'let paused instances go on', examples: [['pk resume web', 'go on where it was paused']] },
  (client, name) => client.resume(name),
);
