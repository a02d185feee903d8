import { connect } from '../../client/index.ts';
import { type Command, JSON_OPTION } from '../kit/command.ts';
import { answer } from '../kit/output.ts';
import { statusText } from './status-text.ts';

export const command: Command = {
  summary: 'show what balancing does, and what it sees',
  usage: '[OPTION]...',
  options: { json: JSON_OPTION },
  arguments: [0, 0],
  examples: [['pk balance status', 'mode, policy, holds, and the kernels that take part']],
  async run(invocation) {
    return answer(invocation, await (await connect()).balance(), statusText);
  },
};
