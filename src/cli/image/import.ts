/** Paths are made absolute here, for the daemon has another working directory. */
import { resolve } from 'node:path';
import { connect } from '../../client/index.ts';
import { PolykernelError } from '../../sys/errors.ts';
import { type Command, JSON_OPTION } from '../kit/command.ts';
import { withProgress } from '../kit/long-work.ts';
import { answer } from '../kit/output.ts';
import { imageLine } from './text.ts';

export const command: Command = {
  summary: 'add a kernel of your own',
  usage: 'KERNEL --name NAME [--modules DIR]',
  description: 'KERNEL is a bzImage (vmlinuz), a vmlinux or a linux.uml; what it is is found out.',
  options: {
    name: { value: 'NAME', help: 'what to call the image' },
    modules: {
      value: 'DIR',
      complete: 'file',
      help: 'its modules: lib/modules/VERSION, or a directory that holds lib/modules',
    },
    json: JSON_OPTION,
  },
  arguments: [1, 1],
  complete: 'file',
  examples: [
    ['pk image import ./vmlinuz --modules ./lib/modules/6.12.0 --name mine', 'then: pk run --image mine -- uname -r'],
  ],
  async run(invocation) {
    const name = invocation.value('name');
    if (name === undefined)
      throw new PolykernelError('invalid', '--name is missing', {
        field: '--name',
        hint: 'Say what to call the image: --name mine.',
      });
    const modules = invocation.value('modules');
    const client = await connect();
    const request = {
      name,
      kernel: resolve(invocation.positionals[0]!),
      ...(modules === undefined ? {} : { modules: resolve(modules) }),
    };
    const image = await withProgress((say) => client.importImage(request, say));
    return answer(invocation, image, imageLine);
  },
};
