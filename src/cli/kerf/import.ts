import { connect } from '../../client/index.ts';
import { type Command, JSON_OPTION } from '../kit/command.ts';
import { answer } from '../kit/output.ts';
import { kerfText } from './text.ts';

export const command: Command = {
  summary: 'take over the pool and the kernels that kerf has made',
  usage: '[OPTION]...',
  description:
    'On a host kernel with the multikernel patches: reads back what is there, and takes over all of it or nothing. Nothing is done to\n' +
    'kernels that run. What is half done, contradictory or has no place here is refused with the reason. Again: takes over what is new.',
  options: {
    'dry-run': { help: 'say what would be taken over, and do nothing' },
    json: JSON_OPTION,
  },
  arguments: [0, 0],
  examples: [['pk kerf import --dry-run', 'what it would be']],
  async run(invocation) {
    const dryRun = invocation.flag('dry-run');
    return answer(invocation, await (await connect()).actOnKerf({ act: 'import', dryRun }), kerfText);
  },
};
