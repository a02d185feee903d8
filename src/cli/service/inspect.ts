import { connect } from '../../client/index.ts';
import { type Command, JSON_OPTION } from '../kit/command.ts';
import { printJson } from '../kit/output.ts';

export const command: Command = {
  summary: 'show everything about services',
  usage: 'NAME...',
  description: 'Prints JSON: an object for one name, an array for several.',
  options: { json: JSON_OPTION },
  arguments: [1, Number.POSITIVE_INFINITY],
  complete: 'service',
  examples: [['pk service inspect api', 'targets, counters, latencies, promises and the proxy']],
  async run(invocation) {
    const client = await connect();
    const all = await Promise.all(invocation.positionals.map((name) => client.service(name)));
    await printJson(all.length === 1 ? all[0] : all);
    return 0;
  },
};
