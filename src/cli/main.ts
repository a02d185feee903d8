/** Entry of `pk`: finds the command, runs it, and turns any failure into a message and an exit code. */
import { ERROR_TABLE, PolykernelError } from '../sys/errors.ts';
import { ownArguments } from '../sys/node.ts';
import { plainJson } from '../sys/text.ts';
import { loadCommand } from './commands.ts';
import { type Command, type Invocation, isAsked, NotUnderstood, parse } from './kit/command.ts';
import { commandsOf, NOUN_OF } from './kit/names.ts';
import { complain, flush, print } from './kit/output.ts';

/** Whether who reads is a program. */
let inJson = false;

async function main(args: string[]): Promise<number> {
  if (args.some((text) => text.includes('\ufffd'))) (await import('../sys/lost-bytes.ts')).refuseLostArguments(args);
  const word = args[0];
  if (word === undefined || isHelp(word) || (word === 'help' && args.length === 1)) {
    await print((await import('./kit/help.ts')).overview());
    return word === undefined ? 2 : 0;
  }
  if (word === '--version' || word === '-V' || word === '-v') return main(['version', ...args.slice(1)]);
  if (word === '__complete') return (await import('./kit/complete.ts')).complete(args.slice(1));
  if (word === 'help') return main([...args.slice(1), '--help']);
  if (word === 'container' && args.length > 1) return main(args.slice(1));
  if (Object.hasOwn(ALIASES, word)) return main([...ALIASES[word]!.split(' '), ...args.slice(1)]);
  const first = word === 'images' ? 'image' : word;
  if (word === 'images' && !commandsOf(first).includes(args[1] ?? '') && !isHelp(args[1] ?? ''))
    return main(['image', 'ls', ...args.slice(1)]);
  // Set-up itself is done by bin/polykernel, which passes on only a question about it.
  const isGroup = commandsOf(first).length > 0;
  const isTopic = first === 'setup' || (isGroup && isHelp(args[1] ?? ''));
  if (isTopic) {
    await print((await import('./kit/help.ts')).topicHelp(first));
    return 0;
  }
  const name = isGroup ? `${first} ${args[1] ?? ''}` : first;
  const rest = args.slice(isGroup ? 2 : 1);
  if (!Object.hasOwn(NOUN_OF, name)) throw await unknownCommand(name, args);
  const command = await loadCommand(NOUN_OF[name]!, name);
  // Behind the guest's command it is the guest's own.
  inJson = isAsked(command, rest, 'json');
  const invocation = await parsed(name, command, rest);
  if (!invocation.flag('help')) return command.run(invocation);
  await print((await import('./kit/command-help.ts')).commandHelp(name, command));
  return 0;
}

/** What docker's and podman's commands of the same meaning are called. */
const ALIASES: Readonly<Record<string, string>> = {
  unpause: 'resume',
  ls: 'ps',
  list: 'ps',
  rmi: 'image rm',
  pull: 'image pull',
};

/** What was typed; for an option of another tool's command of this name, with a word on what to type instead. */
async function parsed(name: string, command: Command, args: readonly string[]): Promise<Invocation> {
  try {
    return parse(name, command, args);
  } catch (error) {
    if (!(error instanceof NotUnderstood)) throw error;
    const { optionHabit } = await import('./kit/habits.ts');
    const hint = optionHabit(name, error.what);
    throw hint === undefined
      ? error
      : new PolykernelError('invalid', `\`pk ${name}\` has no ${error.what}`, { field: error.what, hint });
  }
}

const isHelp = (word: string): boolean => word === '--help' || word === '-h';

async function unknownCommand(name: string, args: readonly string[]): Promise<PolykernelError> {
  const { closest } = await import('../sys/closest.ts');
  const [group] = name.split(' ') as [string];
  if (name === `${group} `) {
    return new PolykernelError('invalid', `\`pk ${group}\` wants one of ${commandsOf(group).join(', ')}`, {
      hint: `See \`pk ${group} --help\`.`,
    });
  }
  if (name.startsWith('-'))
    return new PolykernelError('invalid', `${name} is no option of pk itself`, {
      field: name,
      hint: 'Options come behind the command: pk COMMAND [OPTION]... Whose daemon is asked, POLYKERNEL_HOME says.',
    });
  const { wordHabit } = await import('./kit/habits.ts');
  const words = args.slice(0, 2).join(' ');
  const habit = wordHabit(words) ?? wordHabit(name);
  if (habit !== undefined) {
    const value = wordHabit(words) === undefined ? name : words;
    return new PolykernelError('invalid', `there is no command ${JSON.stringify(value)}`, {
      field: 'command',
      value,
      hint: habit,
    });
  }
  const guess = closest(name, Object.keys(NOUN_OF));
  return new PolykernelError(
    'invalid',
    `there is no command ${JSON.stringify(name)}${guess === undefined ? '' : `; did you mean \`pk ${guess}\`?`}`,
    {
      field: 'command',
      value: name,
      hint: name === group ? 'See `pk --help`.' : `See \`pk ${group} --help\`.`,
    },
  );
}

function report(error: unknown): number {
  const known = error instanceof PolykernelError;
  const isLost = (error as NodeJS.ErrnoException | undefined)?.syscall === 'uv_cwd';
  const what = error instanceof Error ? error.message : String(error);
  const message = isLost ? 'the working directory is gone: give absolute paths, or cd to one that exists' : what;
  if (inJson) {
    // As the API answers.
    const body = known ? error.toJSON() : { code: 'internal', message };
    process.stderr.write(`${plainJson(JSON.stringify({ error: body }))}\n`);
  } else complain(message, known ? error.hint : undefined);
  if (process.env.POLYKERNEL_DEBUG === '1' && error instanceof Error) process.stderr.write(`${error.stack}\n`);
  return known ? ERROR_TABLE[error.code].exit : ERROR_TABLE.internal.exit;
}

process.on('uncaughtException', (error) => process.exit(report(error)));
// The loop is not waited for: an open connection must not keep a finished command.
const given = ownArguments();
// Until the command is known, which may have other arguments behind.
inJson = (given.includes('--') ? given.slice(0, given.indexOf('--')) : given).includes('--json');
const code = await main(given).catch(report);
await flush();
process.exit(code);
