import { onEach } from '../kit/on-each.ts';

export const command = onEach(
  {
    summary: 'remove services',
    description: 'Their connections are cut. Instances are left alone.',
    options: {},
    complete: 'service',
    examples: [['pk service rm api', 'its port is free again']],
  },
  (client, name) => client.removeService(name),
);
