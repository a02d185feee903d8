import { onEach, pardonsMissing } from '../kit/on-each.ts';

export const command = onEach(
  {
    summary: 'remove channels',
    description: 'Refused while a program is attached, unless forced: that program then gets an error.',
    options: { force: { short: 'f', help: 'also when a program is attached; one that is not there is no failure' } },
    complete: 'channel',
    examples: [['pk channel rm -f orders', 'whoever uses it']],
  },
  (client, name, invocation) => client.removeChannel(name, { force: invocation.flag('force') }),
  pardonsMissing,
);
