import { connect } from '../../client/index.ts';
import { type Command, JSON_OPTION } from '../kit/command.ts';
import { print, printJson } from '../kit/output.ts';
import { channelTable } from './text.ts';

export const command: Command = {
  summary: 'list channels',
  usage: '[OPTION]...',
  description: 'STATE is ok, error, closed by its sender, or the end that does not see the memory: `to pending`.',
  options: { json: JSON_OPTION },
  arguments: [0, 0],
  examples: [['pk channel ls', 'who sends to whom, and how much is under way']],
  async run(invocation) {
    const channels = await (await connect()).channels();
    await (invocation.flag('json') ? printJson(channels) : print(channelTable(channels)));
    return 0;
  },
};
