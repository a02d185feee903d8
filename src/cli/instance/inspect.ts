import { connect } from '../../client/index.ts';
import { type Command, JSON_OPTION } from '../kit/command.ts';
import { printJson } from '../kit/output.ts';

export const command: Command = {
  summary: 'show everything about instances',
  usage: 'NAME...',
  description: 'Prints JSON: an object for one name, an array for several.',
  options: { json: JSON_OPTION },
  arguments: [1, Number.POSITIVE_INFINITY],
  complete: 'instance',
  examples: [['pk inspect web', 'what was asked for and what is']],
  async run(invocation) {
    const client = await connect();
    const all = await Promise.all(invocation.positionals.map((name) => client.inspect(name)));
    await printJson(all.length === 1 ? all[0] : all);
    return 0;
  },
};
