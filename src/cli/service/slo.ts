import { connect } from '../../client/index.ts';
import { type Command, JSON_OPTION } from '../kit/command.ts';
import { print, printJson } from '../kit/output.ts';
import { sloTable } from './text.ts';

export const command: Command = {
  summary: 'whether services keep their promises',
  usage: '[OPTION]... [NAME]',
  description:
    'ATTAINED is the share of good requests in the last hour, BAD those that were not, ALLOWED how many could be, LEFT what\n' +
    'remains of that budget. BURN says how many times faster than allowed it is spent: a promise is lost while both are\n' +
    'above 1.',
  options: { json: JSON_OPTION },
  arguments: [0, 1],
  complete: 'service',
  examples: [
    ['pk slo', 'all promises'],
    ['pk slo api --json', 'with the counts of both windows'],
  ],
  async run(invocation) {
    const [name] = invocation.positionals;
    const client = await connect();
    const services = name === undefined ? await client.services() : [await client.service(name)];
    if (!invocation.flag('json')) await print(sloTable(services));
    else if (name !== undefined) await printJson(services[0]!.objectives);
    else await printJson(Object.fromEntries(services.map((service) => [service.name, service.objectives])));
    return 0;
  },
};
