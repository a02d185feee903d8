import { onEach } from '../kit/on-each.ts';
import { GRACE_OPTION, grace } from './grace.ts';

export const command = onEach(
  {
    summary: 'stop instances: power off, then kill',
    options: GRACE_OPTION,
    examples: [['pk stop --grace 30s web', 'give it half a minute to end by itself']],
  },
  (client, name, invocation) => client.stop(name, grace(invocation)),
);
