import { connect } from '../../client/index.ts';
import { type Command, JSON_OPTION } from '../kit/command.ts';
import { withProgress } from '../kit/long-work.ts';
import { print, printJson } from '../kit/output.ts';
import { wantsColor } from '../kit/paint.ts';
import { interruptible } from '../kit/signals.ts';
import { loadStack } from './file.ts';
import { STACK_OPTION } from './options.ts';
import { described, diffText } from './plan-text.ts';

export const command: Command = {
  summary: 'make the machine as a stack file says',
  usage: '[-f FILE]',
  description:
    'Carries out what `pk plan` shows; changes only what differs. Run again after a failure or Ctrl-C it goes on from\n' +
    'what was done. A second one of the same stack waits for the first.',
  options: { ...STACK_OPTION, json: JSON_OPTION },
  arguments: [0, 0],
  examples: [['pk apply -f polykernel.yaml', 'twice does no more than once']],
  async run(invocation) {
    const { source } = await loadStack(invocation);
    const interrupt = interruptible();
    try {
      const client = await interrupt.unlessInterrupted(connect({ signal: interrupt.signal }));
      const plan = await withProgress((say) => client.apply(source, say, interrupt.signal));
      if (invocation.flag('json')) await printJson(plan);
      else {
        const end = plan.steps.length === 0 ? 'Nothing to do' : 'Done';
        await print(`${diffText(plan, wantsColor())}${end}: ${described(plan)} as described.\n`);
      }
      return 0;
    } catch (error) {
      if (!interrupt.signal.aborted) throw error;
      process.stderr.write('pk: interrupted; what was done stays. Run the command again to go on from there.\n');
      return interrupt.code();
    } finally {
      interrupt.release();
    }
  },
};
