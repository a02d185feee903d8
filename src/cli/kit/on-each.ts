/** The shape of commands that do one thing to each of several names. */
import { type Client, connect } from '../../client/index.ts';
import type { PolykernelError } from '../../sys/errors.ts';
import type { Command, Invocation } from './command.ts';
import { complain, print } from './output.ts';

type Description = Pick<Command, 'summary' | 'examples' | 'description' | 'complete'> & {
  options?: Command['options'];
};
type Act = (client: Client, name: string, invocation: Invocation) => Promise<unknown>;

/**
 * `VERB NAME...`: does `act` to each; the first failure is reported after the others were tried. `pardons`: what a failure says that
 * is none: it is told, and changes no exit code; undefined for any other.
 */
export function onEach(
  describe: Description,
  act: Act,
  pardons: (error: unknown, invocation: Invocation) => string | undefined = () => undefined,
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
          const pardoned = pardons(error, invocation);
          if (pardoned === undefined) failures.push(error);
          else complain(pardoned);
        }
      }
      return throwFirst(failures);
    },
  };
}

/** For `rm -f`: what is not there need not be removed. */
export function pardonsMissing(error: unknown, invocation: Invocation): string | undefined {
  const { code, message } = error as Partial<PolykernelError> & Error;
  return code === 'not-found' && invocation.flag('force') ? message : undefined;
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
