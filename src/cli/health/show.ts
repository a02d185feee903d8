import { connect } from '../../client/index.ts';
import { type Command, JSON_OPTION } from '../kit/command.ts';
import { answer } from '../kit/output.ts';
import { healthText } from './text.ts';

export const command: Command = {
  summary: 'show how an instance does, and by which signs',
  usage: '[OPTION]... NAME',
  options: { json: JSON_OPTION },
  arguments: [1, 1],
  complete: 'instance',
  examples: [['pk health show web', 'signs, and the last results of its check']],
  async run(invocation) {
    return answer(invocation, await (await connect()).instanceHealth(invocation.positionals[0]!), healthText);
  },
};
