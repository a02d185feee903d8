import { onEach, pardonsMissing } from '../kit/on-each.ts';

export const command = onEach(
  {
    summary: 'remove instances',
    options: { force: { short: 'f', help: 'also when it runs: kill it first; one that is not there is no failure' } },
    examples: [['pk rm -f web', 'whatever it does']],
  },
  (client, name, invocation) => client.remove(name, { force: invocation.flag('force') }),
  pardonsMissing,
);
