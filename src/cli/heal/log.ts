import { connect } from '../../client/index.ts';
import { parseDuration } from '../../sys/units.ts';
import { type Command, JSON_OPTION } from '../kit/command.ts';
import { answer } from '../kit/output.ts';
import { healingText } from './text.ts';

export const command: Command = {
  summary: 'tell what was healed, why, and what became of it',
  usage: '[OPTION]... [NAME]',
  description: 'The oldest first. The last hundred of each instance are kept, also of those that are gone.',
  options: {
    since: { value: 'TIME', help: 'so far back, such as 10m (default all)' },
    json: JSON_OPTION,
  },
  arguments: [0, 1],
  complete: 'instance',
  examples: [['pk heal log web --since 1h', 'how often it was started anew, and for what']],
  async run(invocation) {
    const since = invocation.value('since');
    const [name] = invocation.positionals;
    const healings = await (await connect()).healings({
      ...(since !== undefined && { since: Math.max(1, Math.ceil(parseDuration(since, '--since') / 1000)) }),
      ...(name !== undefined && { name }),
    });
    return answer(invocation, healings, (all) =>
      all.length === 0 ? 'Nothing was healed.\n' : all.map(healingText).join(''),
    );
  },
};
