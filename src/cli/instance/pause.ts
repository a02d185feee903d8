import { onEach } from '../kit/on-each.ts';

export const command = onEach(
  { summary: 'freeze instances', examples: [['pk pause web', 'its CPUs stop; memory stays']] },
  (client, name) => client.pause(name),
);
