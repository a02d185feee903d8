import { connect } from '../../client/index.ts';
import { type Command, JSON_OPTION } from '../kit/command.ts';
import { answer } from '../kit/output.ts';
import { POLICY_NAMES } from './policy-names.ts';
import { statusText } from './status-text.ts';

export const command: Command = {
  summary: 'choose who decides',
  usage: 'POLICY',
  description: 'docs/balance.md says how each one decides; it begins anew with what it has learnt.',
  options: { json: JSON_OPTION },
  arguments: [1, 1],
  words: POLICY_NAMES,
  examples: [['pk balance policy threshold', 'as the Kubernetes autoscaler does']],
  async run(invocation) {
    const policy = invocation.positionals[0]!;
    return answer(invocation, await (await connect()).setBalance({ policy }), statusText);
  },
};
