import { onEach } from '../kit/on-each.ts';
import { GRACE_OPTION, grace } from './grace.ts';

export const command = onEach(
  {
    summary: 'stop and start instances',
    options: GRACE_OPTION,
    examples: [['pk restart web', 'a fresh kernel, the same instance']],
  },
  (client, name, invocation) => client.restart(name, grace(invocation)),
);
