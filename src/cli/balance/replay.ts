import { connect } from '../../client/index.ts';
import { type Command, JSON_OPTION } from '../kit/command.ts';
import { answer } from '../kit/output.ts';
import { parseSeconds } from './amounts.ts';
import { decisionText } from './decision-text.ts';
import { POLICY_NAMES } from './policy-names.ts';

export const command: Command = {
  summary: 'show the recorded windows to another policy: what it would have decided',
  usage: '[OPTION]...',
  description:
    'Of the last hour at most, and while balancing was on or observed. `pk balance simulate` plays whole traces.',
  options: {
    since: { value: 'TIME', help: 'so far back (default 1h)' },
    policy: { value: 'POLICY', words: POLICY_NAMES, help: 'who decides (default slo)' },
    json: JSON_OPTION,
  },
  arguments: [0, 0],
  examples: [['pk balance replay --since 10m --policy threshold', 'what it would have done']],
  async run(invocation) {
    const since = parseSeconds(invocation.value('since') ?? '1h', '--since', '1h');
    const policy = invocation.value('policy') ?? 'slo';
    const replayed = await (await connect()).replay({ policy, since });
    return answer(invocation, replayed, ({ windows, decided, decisions }) =>
      [...decisions.map(decisionText), `${decided} decisions in ${windows} windows.\n`].join(''),
    );
  },
};
