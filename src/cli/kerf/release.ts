import { connect } from '../../client/index.ts';
import type { Command } from '../kit/command.ts';

export const command: Command = {
  summary: 'hand back what was taken over of kerf',
  usage: '[OPTION]...',
  description:
    'With --keep nothing is done but to forget it: kernels run on, and kerf has all as before. Without, its pool goes back to the host\n' +
    'kernel, which is refused while any kernel has part of it.',
  options: { keep: { help: 'leave all as it is, and running' } },
  arguments: [0, 0],
  examples: [['pk kerf release --keep', 'kerf goes on where Polykernel stopped']],
  async run(invocation) {
    await (await connect()).actOnKerf({ act: 'release', keep: invocation.flag('keep') });
    return 0;
  },
};
