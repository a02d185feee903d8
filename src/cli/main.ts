/** Entry of `pk`: finds the command, runs it, and turns any failure into a message and an exit code. */
import { ERROR_TABLE, PolykernelError } from '../sys/errors.ts';
import { parse } from './command.ts';
import { COMMANDS } from './commands.ts';
import { ExitEarly, print } from './output.ts';

async function main(args: string[]): Promise<number> {
  const word = args[0];
  if (word === undefined || word === '--help' || word === '-h' || (word === 'help' && args.length === 1)) {
    await print((await import('./help.ts')).overview());
    return word === undefined ? 2 : 0;
  }
  if (word === '--version' || word === '-V') return main(['version', ...args.slice(1)]);
  if (word === '__complete') return (await import('./complete.ts')).complete(args.slice(1));
  if (word === 'help') return main([...args.slice(1), '--help']);
  const name =
    word in ALIASES ? ALIASES[word]! : word === 'image' || word === 'images' ? `image ${args[1] ?? ''}` : word;
  const rest = args.slice(name.startsWith('image ') ? 2 : 1);
  const entry = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (entry === undefined) throw await unknownCommand(name.trim());
  const { command } = await entry.load();
  const ownEnd = command.commandFrom === undefined ? rest.length : endOfOwn(rest);
  if (rest.slice(0, ownEnd).some((arg) => arg === '--help' || arg === '-h')) {
    await print((await import('./help.ts')).commandHelp(name, command));
    return 0;
  }
  return command.run(parse(name, command, rest));
}

const ALIASES: Readonly<Record<string, string>> = { unpause: 'resume', ls: 'ps' };

/** For commands that carry a guest's command: `--help` counts only before anything that is not an option. */
function endOfOwn(args: readonly string[]): number {
  const end = args.findIndex((arg) => arg === '--' || !arg.startsWith('-'));
  return end === -1 ? args.length : end;
}

async function unknownCommand(name: string): Promise<PolykernelError> {
  const { closest } = await import('../sys/closest.ts');
  if (name === 'image') {
    return new PolykernelError('invalid', '`pk image` wants one of ls, pull, import, rm, prewarm', {
      hint: 'See `pk --help`.',
    });
  }
  const guess = closest(name, Object.keys(COMMANDS));
  return new PolykernelError(
    'invalid',
    `there is no command ${JSON.stringify(name)}${guess === undefined ? '' : `; did you mean \`pk ${guess}\`?`}`,
    {
      field: 'command',
      value: name,
      hint: 'See `pk --help`.',
    },
  );
}

function report(error: unknown): number {
  if (error instanceof ExitEarly) return error.exitCode;
  const known = error instanceof PolykernelError;
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(`pk: ${message}\n`);
  if (known && error.hint !== undefined) process.stderr.write(`    ${error.hint}\n`);
  if (process.env.POLYKERNEL_DEBUG === '1' && error instanceof Error) process.stderr.write(`${error.stack}\n`);
  return known ? ERROR_TABLE[error.code].exit : ERROR_TABLE.internal.exit;
}

process.on('uncaughtException', (error) => process.exit(report(error)));
// The loop is not waited for: an open connection must not keep a finished command.
process.exit(await main(process.argv.slice(2)).catch(report));
