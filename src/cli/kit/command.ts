/** What a command is, as data: parsing, help and completion are all read from it. */
import { closest } from '../../sys/closest.ts';
import { type ErrorDetail, PolykernelError } from '../../sys/errors.ts';

// Not by `import`: see src/sys/node.ts.
const { parseArgs } = process.getBuiltinModule('node:util');

/**
 * Kinds of names; `end` is an end of a channel, `channel-side` a channel's name with the side of an instance, `owner` an
 * instance or the pool.
 */
export type Completion = 'instance' | 'owner' | 'service' | 'image' | 'file' | 'channel' | 'channel-side' | 'end';

export interface OptionSpec {
  short?: string;
  /** Placeholder of the value; absent = a flag. */
  value?: string;
  /** May be given more than once. */
  multiple?: boolean;
  choices?: readonly string[];
  /** What the shell offers for the value; other values are accepted as well. */
  words?: readonly string[];
  complete?: Completion;
  help: string;
}

/** A command as help, completion and docs/commands.md know it: all but how it is done. */
export interface Described {
  /** One line for the list of commands. */
  summary: string;
  /** What follows the command's name in its usage line. */
  usage: string;
  /** Further explanation, a paragraph. */
  description?: string;
  options: Readonly<Record<string, OptionSpec>>;
  /** What the shell offers for positional arguments: these words, or names of a kind. */
  words?: readonly string[];
  complete?: Completion;
  /** Index of the argument from which everything belongs to the guest's command, options included. */
  commandFrom?: number;
  /** Instead of that: after so many arguments everything is of the guest's command, also what looks like an option of ours. */
  commandAfter?: number;
  examples: readonly (readonly [string, string])[];
}

export interface Command extends Described {
  /** Fewest and most positional arguments. */
  arguments: readonly [number, number];
  /** Does it; gives the exit code. */
  run(invocation: Invocation): Promise<number>;
}

/** Commands by their names, such as `channel ls`; each in a file of its own. */
export type Loaders = Readonly<Record<string, () => Promise<{ command: Command }>>>;

export class Invocation {
  readonly positionals: readonly string[];
  readonly #values: ReadonlyMap<string, readonly string[]>;

  constructor(positionals: readonly string[], values: ReadonlyMap<string, readonly string[]>) {
    this.positionals = positionals;
    this.#values = values;
  }
  flag(name: string): boolean {
    return this.#values.has(name);
  }
  /** The last value given. */
  value(name: string): string | undefined {
    return this.#values.get(name)?.at(-1);
  }
  values(name: string): readonly string[] {
    return this.#values.get(name) ?? [];
  }
  /** A whole number of at least `least`, and at most `most`. Throws `invalid` naming the option. */
  integer(name: string, least: number, most = Number.MAX_SAFE_INTEGER): number | undefined {
    const text = this.value(name);
    if (text === undefined) return undefined;
    const number = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (number >= least && number <= most) return number;
    const range = most < Number.MAX_SAFE_INTEGER ? `from ${least} to ${most}` : `of at least ${least}`;
    throw new PolykernelError('invalid', `--${name}: ${JSON.stringify(text)} is not a whole number ${range}`, {
      field: `--${name}`,
      value: text,
      hint: `Write --${name} ${Math.max(least, 1)}, or another whole number.`,
    });
  }
}

export const JSON_OPTION: OptionSpec = { help: 'machine-readable output' };

/** Every command has it. With it, arguments may be missing. */
export const HELP_OPTION: OptionSpec = { short: 'h', help: 'show this' };

/** What the command does not have: an option as it was typed, one with the value that it does not take, or NAME, an argument more. */
export class NotUnderstood extends PolykernelError {
  readonly what: string;

  constructor(what: string, message: string, detail: ErrorDetail) {
    super('invalid', message, detail);
    this.what = what;
  }
}

function unknownOption(option: string, guess: string | undefined, hint: string): NotUnderstood {
  const meant = guess === undefined ? '' : `; did you mean --${guess}?`;
  return new NotUnderstood(option, `there is no option ${option}${meant}`, { field: option, hint });
}

/** Parses `args` after the command's name. Throws `invalid` naming the argument and the remedy. */
export function parse(name: string, command: Command, args: readonly string[]): Invocation {
  const hint = `See \`pk ${name} --help\`.`;
  const known: Command['options'] = { ...command.options, help: HELP_OPTION };
  const options = forParseArgs(known);
  const own = ownArguments(command, args);
  const { tokens } = parseArgs({ args: own.args, options, strict: false, allowPositionals: true, tokens: true });
  const values = new Map<string, string[]>();
  const positionals: string[] = [];
  for (const token of tokens) {
    if (token.kind === 'positional') positionals.push(token.value);
    if (token.kind !== 'option') continue;
    // Only what the table itself has: `--constructor` is no option, though every object answers to it.
    const option = Object.hasOwn(known, token.name) ? known[token.name] : undefined;
    if (option === undefined) throw unknownOption(token.rawName, closest(token.name, Object.keys(known)), hint);
    // As in `--rm=true`.
    if (option.value === undefined && token.value === 'false') {
      values.delete(token.name);
      continue;
    }
    const problem = optionProblem(token, option);
    if (problem !== undefined) {
      const detail = { field: token.rawName, value: token.value, hint };
      throw new NotUnderstood(`--${token.name} ${token.value}`, problem, detail);
    }
    if (!option.multiple) values.delete(token.name);
    values.set(token.name, [...(values.get(token.name) ?? []), token.value ?? '']);
  }
  positionals.push(...own.rest);
  const [fewest, most] = command.arguments;
  if (!values.has('help') && (positionals.length < fewest || positionals.length > most)) {
    const usage = `usage is pk ${name} ${command.usage}`;
    if (positionals.length < fewest) throw new PolykernelError('invalid', `an argument is missing: ${usage}`, { hint });
    throw new NotUnderstood('NAME', `${JSON.stringify(positionals[most])} is one argument too many: ${usage}`, {
      hint,
    });
  }
  return new Invocation(positionals, values);
}

function forParseArgs(known: Command['options']) {
  return Object.fromEntries(
    Object.entries(known).map(([key, option]) => [
      key,
      {
        type: option.value === undefined ? ('boolean' as const) : ('string' as const),
        ...(option.short ? { short: option.short } : {}),
      },
    ]),
  );
}

/** Whether a flag is among the command's own arguments, be it one of its flags or not, and the rest of them right or not. */
export function isAsked(command: Command, args: readonly string[], flag: string): boolean {
  const { args: own } = ownArguments(command, args);
  const options = forParseArgs(command.options);
  const { tokens } = parseArgs({ args: own, options, strict: false, allowPositionals: true, tokens: true });
  return tokens.some((token) => token.kind === 'option' && token.name === flag && token.value !== 'false');
}

/** Splits off what belongs to the guest's command: after `--`, or from the first word that is no option of ours. */
export function ownArguments(command: Described, args: readonly string[]): { args: string[]; rest: string[] } {
  const { commandFrom, commandAfter } = command;
  if (commandFrom === undefined && commandAfter === undefined) return { args: [...args], rest: [] };
  const options = forParseArgs({ ...command.options, help: HELP_OPTION });
  const { tokens } = parseArgs({ args: [...args], options, strict: false, allowPositionals: true, tokens: true });
  let seen = 0;
  for (const token of tokens) {
    if (token.kind === 'option-terminator')
      return { args: args.slice(0, token.index), rest: args.slice(token.index + 1) };
    if (token.kind !== 'positional') continue;
    const isFirst = seen++ === commandFrom;
    const begin = isFirst ? token.index : token.index + 1;
    if (isFirst || seen === commandAfter) return { args: args.slice(0, begin), rest: args.slice(begin) };
  }
  return { args: [...args], rest: [] };
}

function optionProblem(
  token: { name: string; rawName: string; value: string | undefined },
  option: OptionSpec,
): string | undefined {
  const isFlag = option.value === undefined;
  if (isFlag)
    return token.value === undefined || token.value === 'true' ? undefined : `${token.rawName} takes no value`;
  if (token.value === undefined) return `${token.rawName} wants a value: ${option.value}`;
  if (option.choices !== undefined && !option.choices.includes(token.value)) {
    return `${token.rawName}: ${JSON.stringify(token.value)} is not one of ${option.choices.join(', ')}`;
  }
  return undefined;
}
