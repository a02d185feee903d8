import { connect } from '../../client/index.ts';
import { type Command, JSON_OPTION } from '../kit/command.ts';
import { answer } from '../kit/output.ts';
import { parseSeconds, WEEK } from './amounts.ts';
import { statusText } from './status-text.ts';

export const command: Command = {
  summary: 'keep the size of a kernel, whatever a policy wishes',
  usage: '[OPTION]... NAME',
  options: {
    for: { value: 'TIME', help: 'so long (default 1h)' },
    end: { help: 'let it go on instead' },
    json: JSON_OPTION,
  },
  arguments: [1, 1],
  complete: 'instance',
  examples: [
    ['pk balance hold web --for 2h', 'while somebody looks at it'],
    ['pk balance hold web --end', 'from now on it may change again'],
  ],
  async run(invocation) {
    const seconds = invocation.flag('end') ? 0 : parseSeconds(invocation.value('for') ?? '1h', '--for', WEEK);
    const status = await (await connect()).holdSize(invocation.positionals[0]!, { seconds });
    return answer(invocation, status, statusText);
  },
};
