import { connect } from '../../client/index.ts';
import { type Command, JSON_OPTION } from '../kit/command.ts';
import { print, printJson } from '../kit/output.ts';
import { POOL_OPTIONS, poolRequest } from './options.ts';
import { poolText } from './text.ts';

export const command: Command = {
  summary: 'give up more',
  usage: '[OPTION]...',
  description: 'Adds to the pool; instances that run are not touched.',
  options: { ...POOL_OPTIONS, json: JSON_OPTION },
  arguments: [0, 0],
  examples: [['pk pool grow --cpus 16-19 --memory 8G', 'four CPUs and memory more']],
  async run(invocation) {
    const request = poolRequest(invocation);
    const report = await (await connect()).growPool(request);
    await (invocation.flag('json') ? printJson(report) : print(poolText(report)));
    return 0;
  },
};
