import { connect } from '../../client/index.ts';
import type { Command } from '../kit/command.ts';

export const command: Command = {
  summary: 'take everything back',
  usage: '',
  description: 'Undoes whatever the pool changed in the host kernel. Refused while an instance owns part of it.',
  options: {},
  arguments: [0, 0],
  examples: [],
  async run() {
    await (await connect()).releasePool();
    return 0;
  },
};
