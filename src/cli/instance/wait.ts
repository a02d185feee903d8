import { connect } from '../../client/index.ts';
import type { Command } from '../kit/command.ts';
import { askAgain } from '../kit/next-daemon.ts';
import { throwFirst } from '../kit/on-each.ts';
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
    // All at once: one that ends first may be gone by the time that its turn comes.
    const ends = invocation.positionals.map((name) =>
      askAgain(client, (from) => from.wait(name)).catch((error: Error) => error),
    );
    const failures: Error[] = [];
    for (const end of ends) {
      const status = await end;
      if (status instanceof Error) failures.push(status);
      else await print(`${status.exit?.exitCode ?? 0}\n`);
    }
    return throwFirst(failures);
  },
};
