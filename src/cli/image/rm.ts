import { connect } from '../../client/index.ts';
import type { Command } from '../kit/command.ts';
import { print } from '../kit/output.ts';

export const command: Command = {
  summary: 'remove kernel images',
  usage: 'NAME...',
  options: {},
  arguments: [1, Number.POSITIVE_INFINITY],
  complete: 'image',
  examples: [['pk image rm mine', 'refused while an instance uses it']],
  async run(invocation) {
    const client = await connect();
    for (const name of invocation.positionals) {
      await client.removeImage(name);
      await print(`${name}\n`);
    }
    return 0;
  },
};
