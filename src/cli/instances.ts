/** What the commands that act on named instances share. */
import { type Client, connect } from '../client/index.ts';
import { PolykernelError } from '../sys/errors.ts';
import { isUser, USER_HINT } from '../sys/user-text.ts';
import type { Command, Invocation } from './kit/command.ts';
import { complain, print } from './kit/output.ts';

export { JSON_OPTION } from './kit/command.ts';

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
      for (const failure of failures.slice(1)) complain((failure as Error).message);
      if (failures.length > 0) throw failures[0];
      return 0;
    },
  };
}

/** Says how a command ended, where its exit code does not say it all or the command itself has not. */
export function explainEnd({ message }: { message: string }): void {
  if (!/^(exited with status \d+|ended by \w+)?$/.test(message)) complain(message);
}

/** `KEY=VALUE`, or `KEY` to take the value from `env`. Throws `invalid`. */
export function environmentEntry(text: string, field: string, env: NodeJS.ProcessEnv): [string, string] | undefined {
  const at = text.indexOf('=');
  if (at === 0 || text === '') {
    // What follows the sign may be a secret.
    throw new PolykernelError('invalid', `${field}: ${text === '' ? '""' : '"=..."'} names no variable`, {
      field,
      hint: 'Write KEY=VALUE or KEY.',
    });
  }
  if (at > 0) return [text.slice(0, at), text.slice(at + 1)];
  const value = env[text];
  return value === undefined ? undefined : [text, value];
}

/** `USER` or `USER:GROUP`. Throws `invalid`. */
export function userOption(text: string | undefined): { user?: string } {
  if (text === undefined) return {};
  if (isUser(text)) return { user: text };
  throw new PolykernelError('invalid', `--user: ${JSON.stringify(text)} is not USER or USER:GROUP`, {
    field: '--user',
    value: text,
    hint: USER_HINT,
  });
}
