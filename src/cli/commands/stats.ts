import { connect } from '../../client/index.ts';
import { PolykernelError } from '../../sys/errors.ts';
import type { Command } from '../command.ts';
import { JSON_OPTION } from '../instances.ts';
import { print, printJson } from '../output.ts';
import { statsTable } from '../stats-text.ts';

export const command: Command = {
  summary: 'show what happens in each kernel',
  usage: '[OPTION]... [NAME]...',
  description:
    'CPU is the share of its CPUs that the guest itself counts as busy; PRESSURE the share of the time in which a task of it\nwaited for one, where its kernel counts that. Rates are of the last two seconds.',
  options: { json: JSON_OPTION },
  arguments: [0, Number.POSITIVE_INFINITY],
  complete: 'instance',
  examples: [['pk stats web db', 'of two instances']],
  async run(invocation) {
    const all = await (await connect()).stats();
    for (const name of invocation.positionals) {
      if (all.some((each) => each.name === name)) continue;
      throw new PolykernelError('not-found', `there is no instance ${JSON.stringify(name)}`, {
        field: 'name',
        value: name,
        hint: 'See `pk ps` for those there are.',
      });
    }
    const wanted =
      invocation.positionals.length === 0 ? all : all.filter(({ name }) => invocation.positionals.includes(name));
    await (invocation.flag('json') ? printJson(wanted) : print(statsTable(wanted)));
    return 0;
  },
};
