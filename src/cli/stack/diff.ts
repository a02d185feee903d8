import { connect } from '../../client/index.ts';
import { type Command, JSON_OPTION } from '../kit/command.ts';
import { complain, print, printJson } from '../kit/output.ts';
import { wantsColor } from '../kit/paint.ts';
import { loadStack } from './file.ts';
import { STACK_OPTION } from './options.ts';
import { diffText } from './plan-text.ts';

export const command: Command = {
  summary: 'how the machine differs from a stack file',
  usage: '[-f FILE]',
  description: 'Ends with 0 when it does not, with 1 when it does.',
  options: { ...STACK_OPTION, json: JSON_OPTION },
  arguments: [0, 0],
  examples: [['pk diff', 'changed fields, missing and ended kernels, kernels on CPUs that are not theirs']],
  async run(invocation) {
    const { source } = await loadStack(invocation);
    const plan = await (await connect()).plan(source);
    const { kernels, pool, refused } = plan;
    const changed = kernels.filter(({ action }) => action !== 'keep');
    if (invocation.flag('json')) await printJson({ pool: pool.change, kernels: changed, refused });
    else {
      await print(diffText(plan, wantsColor()));
      for (const { name, message } of refused) complain(`${name}: ${message}`);
    }
    return changed.length > 0 || pool.change !== null || refused.length > 0 ? 1 : 0;
  },
};
