/** The plan of the daemon, or one made here for a machine that is only described. */
import type { Plan } from '../../stack/contract.ts';
import { type Command, JSON_OPTION } from '../kit/command.ts';
import { print, printJson } from '../kit/output.ts';
import { wantsColor } from '../kit/paint.ts';
import { HOST_OPTION } from '../topology/host-option.ts';
import { loadStack } from './file.ts';
import { STACK_OPTION } from './options.ts';
import { planText } from './plan-text.ts';

/** As for any other conflict. */
const REFUSED = 125;

export const command: Command = {
  summary: 'what applying a stack file would do, and why',
  usage: '[-f FILE] [--host DIR|FILE]',
  description:
    'Touches nothing. With --host the plan is made for a machine that is only described, on which nothing runs yet.\n' +
    'Ends with 125 when something is refused.',
  options: { ...STACK_OPTION, ...HOST_OPTION, json: JSON_OPTION },
  arguments: [0, 0],
  examples: [
    ['pk plan -f polykernel.yaml', 'steps, placement, reasons, advice'],
    ['pk plan --host snapshot/', 'on another machine'],
  ],
  async run(invocation) {
    const { source, stack } = await loadStack(invocation);
    const host = invocation.value('host');
    let plan: Plan;
    if (host === undefined) {
      const { connect } = await import('../../client/index.ts');
      plan = await (await connect()).plan(source);
    } else {
      const [{ planFor }, { readHost }] = await Promise.all([
        import('../../stack/contract.ts'),
        import('../topology/host.ts'),
      ]);
      plan = planFor(stack, await readHost(host));
    }
    await (invocation.flag('json') ? printJson(plan) : print(planText(plan, wantsColor())));
    return plan.refused.length > 0 ? REFUSED : 0;
  },
};
