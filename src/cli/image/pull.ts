import { connect } from '../../client/index.ts';
import { type Command, JSON_OPTION } from '../kit/command.ts';
import { withProgress } from '../kit/long-work.ts';
import { answer } from '../kit/output.ts';
import { imageLine } from './text.ts';

export const command: Command = {
  summary: 'fetch a kernel from Debian or Ubuntu',
  usage: 'NAME',
  options: { json: JSON_OPTION },
  arguments: [1, 1],
  complete: 'image',
  examples: [
    ['pk image pull debian:uml', 'User Mode Linux'],
    ['pk image pull debian:amd64', 'the kernel for QEMU'],
  ],
  async run(invocation) {
    const client = await connect();
    const image = await withProgress((say) => client.pullImage(invocation.positionals[0]!, say));
    return answer(invocation, image, imageLine);
  },
};
