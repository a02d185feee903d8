import { connect } from '../../client/index.ts';
import type { Command } from '../kit/command.ts';
import { print } from '../kit/output.ts';

export const command: Command = {
  summary: 'unload and remove a kernel that was taken over of kerf',
  usage: '[OPTION]... NAME',
  description: "What it had returns to the pool, and kerf's record of it is removed.",
  options: { force: { short: 'f', help: 'also one that runs' } },
  arguments: [1, 1],
  examples: [],
  async run(invocation) {
    const [name] = invocation.positionals as [string];
    await (await connect()).actOnKerf({ act: 'remove', name, force: invocation.flag('force') });
    await print(`${name}\n`);
    return 0;
  },
};
