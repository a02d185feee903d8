import { connect } from '../../client/index.ts';
import { type Command, JSON_OPTION } from '../kit/command.ts';
import { answer } from '../kit/output.ts';
import { functionsText } from './text.ts';

export const command: Command = {
  summary: 'list functions with virtual ones, and whose each is',
  usage: '[--json]',
  description: 'As the kernel says now. A lease that is `failed` could not be reset: it is given to nobody.',
  options: { json: JSON_OPTION },
  arguments: [0, 0],
  examples: [['pk sriov ls', 'physical functions, and below each its virtual ones']],
  run: async (invocation) => answer(invocation, await (await connect()).functions(), functionsText),
};
