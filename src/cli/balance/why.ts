import { connect } from '../../client/index.ts';
import { type Command, JSON_OPTION } from '../kit/command.ts';
import { answer } from '../kit/output.ts';
import { parseSeconds, WEEK } from './amounts.ts';
import { decisionText } from './decision-text.ts';

export const command: Command = {
  summary: 'tell what was decided, and why',
  usage: '[OPTION]... [NAME]',
  description: 'The oldest first: what moved, what became of it, and for each kernel the rule with the numbers it saw.',
  options: {
    since: { value: 'TIME', help: 'so far back, such as 10m (default 24h)' },
    json: JSON_OPTION,
  },
  arguments: [0, 1],
  complete: 'instance',
  examples: [['pk balance why web --since 10m', 'why it has the CPUs it has']],
  async run(invocation) {
    const since = invocation.value('since');
    const [kernel] = invocation.positionals;
    const decisions = await (await connect()).decisions({
      ...(since !== undefined && { since: parseSeconds(since, '--since', WEEK) }),
      ...(kernel !== undefined && { kernel }),
    });
    return answer(invocation, decisions, (all) =>
      all.length === 0 ? 'Nothing was decided in that time.\n' : all.map(decisionText).join(''),
    );
  },
};
