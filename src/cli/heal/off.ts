import { connect } from '../../client/index.ts';
import { parseDuration } from '../../sys/units.ts';
import { type Command, JSON_OPTION } from '../kit/command.ts';
import { answer } from '../kit/output.ts';
import { heldLine } from './text.ts';

export const command: Command = {
  summary: 'heal nothing of an instance for a while',
  usage: '[OPTION]... NAME',
  description:
    'It is neither ended for its health nor started again, so that it can be looked at. What is due meanwhile comes then.',
  options: { for: { value: 'TIME', help: 'so long (default 1h)' }, json: JSON_OPTION },
  arguments: [1, 1],
  complete: 'instance',
  examples: [['pk heal off web --for 2h', 'while somebody looks at it']],
  async run(invocation) {
    const seconds = Math.max(1, Math.ceil(parseDuration(invocation.value('for') ?? '1h', '--for') / 1000));
    const status = await (await connect()).holdHealing(invocation.positionals[0]!, { seconds });
    return answer(invocation, status, heldLine);
  },
};
