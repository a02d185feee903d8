import { onEach } from '../kit/on-each.ts';

export const command = onEach(
  { summary: 'start instances', examples: [['pk start web', 'boot it again']] },
  (client, name) => client.start(name),
);
