import { connect } from '../../client/index.ts';
import { PolykernelError } from '../../sys/errors.ts';
import type { Command } from '../kit/command.ts';
import { print } from '../kit/output.ts';

export const command: Command = {
  summary: 'change how much a target of a service gets',
  usage: 'NAME INSTANCE WEIGHT',
  description: 'Relative to the other targets, from 0 (nothing) to 256; a target has 100 unless told otherwise.',
  options: {},
  arguments: [3, 3],
  complete: 'service',
  examples: [['pk service weight api web1 50', 'half as much as the others']],
  async run(invocation) {
    const [name, instance, text] = invocation.positionals as [string, string, string];
    if (!/^\d{1,4}$/.test(text)) {
      throw new PolykernelError('invalid', `weight: ${JSON.stringify(text)} is no number from 0 to 256`, {
        field: 'weight',
        value: text,
        hint: 'pk service weight api web1 50',
      });
    }
    await (await connect()).changeTarget(name, instance, { weight: Number(text) });
    await print(`${instance}\n`);
    return 0;
  },
};
