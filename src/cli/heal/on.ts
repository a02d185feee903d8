import { connect } from '../../client/index.ts';
import { type Command, JSON_OPTION } from '../kit/command.ts';
import { answer } from '../kit/output.ts';
import { heldLine } from './text.ts';

export const command: Command = {
  summary: 'heal an instance again',
  usage: '[OPTION]... NAME',
  description: 'Also one whose health was acknowledged. What is due comes at once.',
  options: { json: JSON_OPTION },
  arguments: [1, 1],
  complete: 'instance',
  examples: [['pk heal on web', 'nobody looks at it any more']],
  async run(invocation) {
    return answer(
      invocation,
      await (await connect()).holdHealing(invocation.positionals[0]!, { seconds: 0 }),
      heldLine,
    );
  },
};
