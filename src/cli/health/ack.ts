import { connect } from '../../client/index.ts';
import { type Command, JSON_OPTION } from '../kit/command.ts';
import { answer } from '../kit/output.ts';
import { healthText } from './text.ts';

export const command: Command = {
  summary: 'say that somebody knows how an instance does',
  usage: '[OPTION]... NAME',
  description: 'Until that changes. What is over, such as memory that did not suffice, is held against it no longer.',
  options: { json: JSON_OPTION },
  arguments: [1, 1],
  complete: 'instance',
  examples: [['pk health ack web', 'it is being looked at']],
  async run(invocation) {
    return answer(invocation, await (await connect()).acknowledgeHealth(invocation.positionals[0]!), healthText);
  },
};
