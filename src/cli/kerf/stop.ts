import { connect } from '../../client/index.ts';
import { parseDuration } from '../../sys/units.ts';
import type { Command } from '../kit/command.ts';
import { print } from '../kit/output.ts';

export const command: Command = {
  summary: 'stop a kernel that was taken over of kerf',
  usage: '[OPTION]... NAME',
  description: 'It is asked to, and stopped by force when it does not. It can be booted again.',
  options: { grace: { value: 'TIME', help: 'how long to wait for it before that (default 10s)' } },
  arguments: [1, 1],
  examples: [],
  async run(invocation) {
    const [name] = invocation.positionals as [string];
    const grace = invocation.value('grace');
    const graceMs = grace === undefined ? {} : { graceMs: parseDuration(grace, '--grace') };
    await (await connect()).actOnKerf({ act: 'stop', name, ...graceMs });
    await print(`${name}\n`);
    return 0;
  },
};
