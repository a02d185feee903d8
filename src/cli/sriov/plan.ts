import { connect } from '../../client/index.ts';
import { type Command, JSON_OPTION } from '../kit/command.ts';
import { answer } from '../kit/output.ts';
import { planText } from './text.ts';

export const command: Command = {
  summary: 'show where the number of virtual functions is another than wanted',
  usage: '[--json]',
  description: 'What a reboot took away the daemon makes again when it starts; what others changed it leaves alone.',
  options: { json: JSON_OPTION },
  arguments: [0, 0],
  examples: [],
  run: async (invocation) => answer(invocation, await (await connect()).functionPlan(), planText),
};
