import { connect } from '../../client/index.ts';
import { type Command, JSON_OPTION } from '../kit/command.ts';
import { print, printJson } from '../kit/output.ts';
import { POOL_OPTIONS, poolRequest } from './options.ts';
import { poolText } from './text.ts';

export const command: Command = {
  summary: 'give CPUs, memory and devices up for instances',
  usage: '[OPTION]...',
  description: "What is not in the pool stays the host kernel's: the housekeeping CPUs run everything that owns none.",
  options: { ...POOL_OPTIONS, json: JSON_OPTION },
  arguments: [0, 0],
  examples: [
    ['pk pool init --cpus 2-15 --memory 24G', 'CPUs 2 to 15; memory from the nodes of these CPUs'],
    ['pk pool init --cpus 2-15 --shared 14-15', 'instances may share CPUs 14 and 15 by fractions'],
  ],
  async run(invocation) {
    const request = poolRequest(invocation);
    const report = await (await connect()).initPool(request);
    await (invocation.flag('json') ? printJson(report) : print(poolText(report)));
    return 0;
  },
};
