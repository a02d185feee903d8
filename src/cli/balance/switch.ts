/** The shape of the commands that say what balancing is to do. */
import { connect } from '../../client/index.ts';
import { type Command, JSON_OPTION } from '../kit/command.ts';
import { answer } from '../kit/output.ts';
import { statusText } from './status-text.ts';

export const switchTo = (
  mode: 'off' | 'observe' | 'on',
  describe: Pick<Command, 'summary' | 'description' | 'examples'>,
): Command => ({
  ...describe,
  usage: '[OPTION]...',
  options: { json: JSON_OPTION },
  arguments: [0, 0],
  async run(invocation) {
    return answer(invocation, await (await connect()).setBalance({ mode }), statusText);
  },
});
