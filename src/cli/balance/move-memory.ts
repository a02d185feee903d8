import { parseMemory } from './amounts.ts';
import { change } from './change.ts';
import { MOVE_OPTIONS, movers } from './move-options.ts';

export const command = change(
  {
    summary: 'move memory from one kernel to another while both run',
    usage: 'SIZE --from NAME --to NAME',
    description:
      'It is taken out of the one, changes hands, and comes into the other; each step is read back, and when one fails all that was\n' +
      'done is taken back. Both must have bounds that allow it.',
    options: MOVE_OPTIONS,
    arguments: [1, 1],
    examples: [['pk move memory 256M --from batch --to web', 'in whole MiB']],
  },
  (client, invocation, dryRun, say, signal) => {
    const amount = parseMemory(invocation.positionals[0]!, 'SIZE');
    return client.move({ resource: 'memory', ...movers(invocation), amount, dryRun }, say, signal);
  },
);
