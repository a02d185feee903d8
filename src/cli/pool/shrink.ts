import { connect } from '../../client/index.ts';
import { type Command, JSON_OPTION } from '../kit/command.ts';
import { print, printJson } from '../kit/output.ts';
import { POOL_OPTIONS, poolRequest } from './options.ts';
import { poolText } from './text.ts';

export const command: Command = {
  summary: 'take back what nobody owns',
  usage: '[OPTION]...',
  description: "Without --memory the pool keeps its memory. Refused, with the owner's name, for what an instance owns.",
  options: { ...POOL_OPTIONS, json: JSON_OPTION },
  arguments: [0, 0],
  examples: [['pk pool shrink --cpus 14-15', 'two CPUs back to the host']],
  async run(invocation) {
    const request = poolRequest(invocation);
    const report = await (await connect()).shrinkPool(request);
    await (invocation.flag('json') ? printJson(report) : print(poolText(report)));
    return 0;
  },
};
