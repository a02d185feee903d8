import { connect } from '../../client/index.ts';
import type { Command } from '../kit/command.ts';
import { print } from '../kit/output.ts';

export const command: Command = {
  summary: 'take a PCI function back from an instance',
  usage: 'ADDRESS...',
  description: 'It is reset before anybody else gets it. Refused while a kernel has it.',
  options: {},
  arguments: [1, 256],
  examples: [['pk sriov release 0000:3b:00.2', 'or again, when it could not be reset']],
  async run({ positionals }) {
    const client = await connect();
    // A reset takes 100 ms and more: side by side.
    await Promise.all(positionals.map((address) => client.releaseFunction(address)));
    await print(`${positionals.join('\n')}\n`);
    return 0;
  },
};
