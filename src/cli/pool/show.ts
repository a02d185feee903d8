import { connect } from '../../client/index.ts';
import { type Command, JSON_OPTION } from '../kit/command.ts';
import { answer } from '../kit/output.ts';
import { poolText } from './text.ts';

export const command: Command = {
  summary: 'the pool, who owns what of it, what is free',
  usage: '[OPTION]...',
  description: 'What is enforced is read back from the host kernel.',
  options: { json: JSON_OPTION },
  arguments: [0, 0],
  examples: [],
  async run(invocation) {
    return answer(invocation, await (await connect()).pool(), poolText);
  },
};
