import { connect } from '../../client/index.ts';
import { type Command, JSON_OPTION } from '../kit/command.ts';
import { withProgress } from '../kit/long-work.ts';
import { answer } from '../kit/output.ts';
import { countText } from './text.ts';

export const command: Command = {
  summary: 'take all virtual functions of a PCI function away',
  usage: 'ADDRESS',
  description: 'Refused while one is in use. They do not come back with the next start of this machine.',
  options: { json: JSON_OPTION },
  arguments: [1, 1],
  examples: [],
  async run(invocation) {
    const client = await connect();
    const request = { address: invocation.positionals[0]!, count: 0 };
    return answer(invocation, await withProgress((say) => client.setVirtualFunctions(request, say)), countText);
  },
};
