import { connect } from '../../client/index.ts';
import type { Command } from '../kit/command.ts';
import { print } from '../kit/output.ts';

export const command: Command = {
  summary: 'give targets of a service no new connections',
  usage: '[OPTION]... NAME INSTANCE...',
  description: 'Requests under way are finished. Stays until --undo, also when the instance is started again.',
  options: { undo: { help: 'let them have requests again' } },
  arguments: [2, Number.POSITIVE_INFINITY],
  complete: 'service',
  examples: [
    ['pk service drain api web1', 'before web1 is stopped'],
    ['pk service drain --undo api web1', 'it is back'],
  ],
  async run(invocation) {
    const [name, ...instances] = invocation.positionals as [string, ...string[]];
    const client = await connect();
    for (const instance of instances) {
      await client.changeTarget(name, instance, { drain: !invocation.flag('undo') });
      await print(`${instance}\n`);
    }
    return 0;
  },
};
