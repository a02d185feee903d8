/** The shape of commands that do one thing to each of several names. */
import { type Client, connect } from '../../client/index.ts';
import type { PolykernelError } from '../../sys/errors.ts';
import type { Command, Invocation } from './command.ts';
import { complain, print } from './output.ts';

/** `VERB NAME...`: does `act` to each; the first failure is reported after the others were tried. */
export function onEach(
  describe: Pick<Command, 'summary' | 'examples' | 'description' | 'complete'> & { options?: Command['options'] },
  act: (client: Client, name: string, invocation: Invocation) => Promise<unknown>,
): Command {
  return {
    usage: '[OPTION]... NAME...',
    ...describe,
    options: describe.options ?? {},
    arguments: [1, Number.POSITIVE_INFINITY],
    complete: describe.complete ?? 'instance',
    async run(invocation) {
      const client = await connect();
      const failures: unknown[] = [];
      for (const name of invocation.positionals) {
        try {
          await act(client, name, invocation);
          await print(`${name}\n`);
        } catch (error) {
          failures.push(error);
        }
      }
      return throwFirst(failures);
    },
  };
}

/** After all were tried: tells of the others, and throws the first. */
export function throwFirst(failures: readonly unknown[]): 0 {
  for (const failure of failures.slice(1)) {
    const { message, hint } = failure as Partial<PolykernelError> & Error;
    complain(message, hint);
  }
  if (failures.length > 0) throw failures[0];
  return 0;
}
