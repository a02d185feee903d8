import { connect } from '../../client/index.ts';
import { type Command, JSON_OPTION } from '../kit/command.ts';
import { answer } from '../kit/output.ts';
import { kerfText } from './text.ts';

export const command: Command = {
  summary: 'what is taken over of kerf, and what is there besides',
  usage: '[OPTION]...',
  description: 'States are those of the host kernel, now.',
  options: { json: JSON_OPTION },
  arguments: [0, 0],
  examples: [],
  async run(invocation) {
    return answer(invocation, await (await connect()).kerf(), kerfText);
  },
};
