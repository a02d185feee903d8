import { connect } from '../../client/index.ts';
import type { Command } from '../kit/command.ts';
import { print } from '../kit/output.ts';

export const command: Command = {
  summary: 'take a PCI function from an instance, also while it runs',
  usage: 'NAME ADDRESS',
  description:
    'Done once the guest has let go of it, and it was reset. A guest that does not let go within 15 s keeps it.',
  options: {},
  arguments: [2, 2],
  complete: 'instance',
  examples: [['pk device detach web 0000:3b:00.2', 'its programs must not use it any more']],
  async run({ positionals }) {
    const [name, address] = positionals as [string, string];
    await (await connect()).detachFunction(name, address);
    await print(`${address}\n`);
    return 0;
  },
};
