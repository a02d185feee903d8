import { connect } from '../../client/index.ts';
import type { Command } from '../kit/command.ts';
import { print } from '../kit/output.ts';

export const command: Command = {
  summary: 'boot a kernel that was taken over of kerf',
  usage: 'NAME',
  description: 'What kerf has loaded into it. One that runs goes on.',
  options: {},
  arguments: [1, 1],
  examples: [],
  async run({ positionals: [name] }) {
    await (await connect()).actOnKerf({ act: 'start', name: name! });
    await print(`${name}\n`);
    return 0;
  },
};
