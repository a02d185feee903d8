/** `pk __complete WORD...`: what the last word may become, one a line. Called by the shells' completion functions. */
import { HOST, POOL } from '../../instance/name.ts';
import { CATALOG } from './catalog.ts';
import { type Completion, type Described, HELP_OPTION, type OptionSpec, ownArguments } from './command.ts';
import { commandsOf } from './names.ts';
import { print } from './output.ts';

export async function complete(words: readonly string[]): Promise<number> {
  const found = await candidates(words).catch(() => []);
  const last = words.at(-1) ?? '';
  await print(
    found
      .filter((word) => word.startsWith(last))
      .map((word) => `${word}\n`)
      .join(''),
  );
  return 0;
}

/** All that may stand in the place of the last of `words`; empty where the shell should offer file names. */
export async function candidates(words: readonly string[]): Promise<readonly string[]> {
  if (words[0] === 'help' && words.length > 1) return candidates(words.slice(1));
  if (words.length <= 1) return [...new Set(Object.keys(CATALOG).map((name) => name.split(' ')[0]!)), 'help', 'setup'];
  const inGroup = commandsOf(words[0]!);
  const group = inGroup.length > 0;
  if (group && words.length === 2) return inGroup;
  const name = group ? `${words[0]} ${words[1]}` : words[0]!;
  if (!Object.hasOwn(CATALOG, name)) return [];
  const command = CATALOG[name]!;
  const own = words.slice(group ? 2 : 1);
  const last = own.at(-1)!;
  const before = own.slice(0, -1);
  // The guest's command is not ours to complete: neither a word within it, nor one that would begin it.
  if (ownArguments(command, before).args.length < before.length) return [];
  if (!last.startsWith('-') && ownArguments(command, [...before, 'word']).rest.length > 0) return [];
  const waiting = optionNamed(command, before.at(-1) ?? '');
  if (waiting?.value !== undefined) return valuesOf(waiting);
  const joined = /^(--[^=]+)=/.exec(last);
  if (joined !== null) {
    const option = optionNamed(command, joined[1]!);
    return option === undefined ? [] : (await valuesOf(option)).map((value) => joined[0] + value);
  }
  if (last.startsWith('-'))
    return [...Object.keys(command.options).filter((key) => key !== 'help'), 'help'].map((key) => `--${key}`);
  if (name === 'cp') return (await named('instance')).map((instance) => `${instance}:/`);
  return command.words ?? named(command.complete);
}

function optionNamed(command: Described, word: string): OptionSpec | undefined {
  const options = Object.entries<OptionSpec>({ ...command.options, help: HELP_OPTION });
  return options.find(([key, { short }]) => word === `--${key}` || (short !== undefined && word === `-${short}`))?.[1];
}

async function valuesOf(option: OptionSpec): Promise<readonly string[]> {
  return option.choices ?? option.words ?? named(option.complete);
}

async function named(kind: Completion | undefined): Promise<readonly string[]> {
  if (kind === undefined || kind === 'file') return [];
  const { connect } = await import('../../client/index.ts');
  const client = await connect({ start: false });
  if (kind === 'image') return (await client.images()).map((image) => image.name);
  if (kind === 'service') return (await client.services()).map(({ name }) => name);
  if (kind === 'instance' || kind === 'end' || kind === 'owner') {
    const instances = (await client.list()).map(({ spec }) => spec.name);
    return [...(kind === 'end' ? [HOST] : kind === 'owner' ? [POOL] : []), ...instances];
  }
  const channels = (await client.channels()).map(({ name }) => name);
  return kind === 'channel' ? channels : channels.flatMap((name) => [`${name}:send`, `${name}:recv`]);
}
