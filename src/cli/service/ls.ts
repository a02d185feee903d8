import { connect } from '../../client/index.ts';
import { type Command, JSON_OPTION } from '../kit/command.ts';
import { print, printJson } from '../kit/output.ts';
import { servicesTable } from './text.ts';

export const command: Command = {
  summary: 'list services',
  usage: '[OPTION]...',
  description: 'UP counts targets that get requests. P50 and P99 are of the last five minutes. SLO: see pk slo.',
  options: { json: JSON_OPTION },
  arguments: [0, 0],
  examples: [['pk service ls', 'what is served, and how well']],
  async run(invocation) {
    const services = await (await connect()).services();
    await (invocation.flag('json') ? printJson(services) : print(servicesTable(services)));
    return 0;
  },
};
