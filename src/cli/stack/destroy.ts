import { connect } from '../../client/index.ts';
import type { Command } from '../kit/command.ts';
import { withProgress } from '../kit/long-work.ts';
import { print } from '../kit/output.ts';
import { loadStack } from './file.ts';
import { STACK_OPTION } from './options.ts';

export const command: Command = {
  summary: 'remove every instance of a stack',
  usage: '[-f FILE | STACK]',
  description: 'Instances that run are killed. The pool stays: give it back with `pk pool release`.',
  options: STACK_OPTION,
  arguments: [0, 1],
  examples: [
    ['pk destroy -f polykernel.yaml', 'those the file made, also what it no longer names'],
    ['pk destroy shop', 'by the name of the stack'],
  ],
  async run(invocation) {
    const name = invocation.positionals[0] ?? (await loadStack(invocation)).stack.name;
    const client = await connect();
    const { kernels } = await withProgress((say) => client.destroy(name, say));
    const count = kernels.length;
    await print(
      count === 0
        ? `Nothing to do: no instance of ${name}.\n`
        : `Removed ${kernels.map((kernel) => kernel.name).join(', ')}.\n`,
    );
    return 0;
  },
};
