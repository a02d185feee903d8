import { connect } from '../../client/index.ts';
import type { Command } from '../kit/command.ts';
import { print } from '../kit/output.ts';

export const command: Command = {
  summary: 'wait until instances end; print their exit codes',
  usage: 'NAME...',
  options: {},
  arguments: [1, Number.POSITIVE_INFINITY],
  complete: 'instance',
  examples: [['pk wait job', "prints the job's exit code once it has ended"]],
  async run(invocation) {
    const client = await connect();
    for (const name of invocation.positionals) await print(`${(await client.wait(name)).exit?.exitCode ?? 0}\n`);
    return 0;
  },
};
