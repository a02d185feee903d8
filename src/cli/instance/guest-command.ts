/** What the commands that run something in a guest share: its variables, its user, how it ended. */
import type { Client } from '../../client/index.ts';
import { asPolykernelError, PolykernelError } from '../../sys/errors.ts';
import { refuseLostVariable } from '../../sys/lost-bytes.ts';
import { isUser, USER_HINT } from '../../sys/user-text.ts';
import type { Invocation, OptionSpec } from '../kit/command.ts';
import { complain } from '../kit/output.ts';

/** Says how a command ended, where its exit code does not say it all or the command itself has not. */
export function explainEnd({ message, hint }: { message: string; hint?: string }): void {
  if (!/^(exited with status \d+|ended by \w+)?$/.test(message)) complain(message, hint);
}

/** Whether the guest of an instance hears no signal now: it hangs, or stood still when that was sent (`isNew`). */
export async function isDeaf(client: Client, name: string, isNew: boolean): Promise<boolean> {
  const { state, health } = await client.instanceHealth(name);
  return (isNew && state === 'paused') || health === 'hung' || health === 'lost';
}

export const ENV_OPTIONS: Readonly<Record<string, OptionSpec>> = {
  env: { short: 'e', value: 'KEY[=VALUE]', multiple: true, help: 'set a variable, or pass one on' },
  'env-file': { value: 'FILE', multiple: true, complete: 'file', help: 'read variables from a file' },
};

/** What the files of --env-file hold. Rejects with `invalid`, `not-found` or `permission`. */
export async function readEnvFiles(invocation: Invocation): Promise<string[]> {
  const files = invocation.values('env-file');
  if (files.length === 0) return [];
  const { readText } = await import('../kit/text-file.ts');
  const { createReadStream } = process.getBuiltinModule('node:fs');
  const read = (path: string) =>
    readText(createReadStream(path), path, '--env-file').catch((error) => {
      throw asPolykernelError(error, `--env-file: reading ${path}`);
    });
  return Promise.all(files.map(read));
}

/** What --env-file and then --env set. `files`: what the first hold. Throws `invalid`. */
export function givenEnvironment(
  invocation: Invocation,
  files: readonly string[],
  env: NodeJS.ProcessEnv,
): Record<string, string> {
  const given = [
    ...files.flatMap(linesOf).map(({ line, number }) => {
      refuseSpaces(line, number);
      return environmentEntry(line, '--env-file', env);
    }),
    ...invocation.values('env').map((text) => environmentEntry(text, '--env', env)),
  ];
  return Object.fromEntries(given.filter((entry) => entry !== undefined));
}

/** As docker and podman read them: editors of Windows begin a file with a mark, and end its lines with a carriage return. */
const linesOf = (text: string): { line: string; number: number }[] =>
  text
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .map((line, index) => ({ line: line.trimStart(), number: index + 1 }))
    .filter(({ line }) => line !== '' && !line.startsWith('#'));

/** As docker does: `export A=1` and `A = 1` are of a shell, or of nobody. Throws `invalid`. */
function refuseSpaces(line: string, number: number): void {
  if (!/\s/.test(line.split('=', 1)[0]!)) return;
  // Of a value of several lines it may be a secret.
  throw new PolykernelError('invalid', `--env-file: line ${number} names no variable: there is a space in the name`, {
    field: '--env-file',
    hint: 'Write KEY=VALUE or KEY, without "export" and without spaces around "="; a value has one line.',
  });
}

/** `KEY=VALUE`, or `KEY` to take the value from `env`. Throws `invalid`. */
function environmentEntry(text: string, field: string, env: NodeJS.ProcessEnv): [string, string] | undefined {
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
  if (value?.includes('\ufffd')) refuseLostVariable(text, field);
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
