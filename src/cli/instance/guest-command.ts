/** What the commands that run something in a guest share: its variables, its user, how it ended. */
import { PolykernelError } from '../../sys/errors.ts';
import { isUser, USER_HINT } from '../../sys/user-text.ts';
import { complain } from '../kit/output.ts';

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
