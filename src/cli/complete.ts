/** `pk __complete WORD...`: what the last word may become, one a line. Called by the shells' completion functions. */
import type { Command, OptionSpec } from './command.ts';
import { COMMANDS } from './commands.ts';
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

async function candidates(words: readonly string[]): Promise<readonly string[]> {
  if (words.length <= 1) return [...new Set(Object.keys(COMMANDS).map((name) => name.split(' ')[0]!)), 'help', 'setup'];
  const group = words[0] === 'image';
  if (group && words.length === 2)
    return Object.keys(COMMANDS).flatMap((name) => (name.startsWith('image ') ? [name.slice(6)] : []));
  const name = group ? `image ${words[1]}` : words[0]!;
  if (!Object.hasOwn(COMMANDS, name)) return [];
  const { command } = await COMMANDS[name]!.load();
  const last = words.at(-1)!;
  const before = optionNamed(command, words.at(-2) ?? '');
  if (before?.value !== undefined) return valuesOf(before);
  if (last.startsWith('-')) return [...Object.keys(command.options).map((key) => `--${key}`), '--help'];
  if (name === 'completion') return ['bash', 'zsh', 'fish'];
  if (name === 'daemon') return ['run', 'start', 'stop', 'status'];
  return named(command.complete);
}

function optionNamed(command: Command, word: string): OptionSpec | undefined {
  if (word.startsWith('--')) return command.options[word.slice(2)];
  return Object.values(command.options).find(({ short }) => short !== undefined && word === `-${short}`);
}

async function valuesOf(option: OptionSpec): Promise<readonly string[]> {
  return option.choices ?? named(option.complete);
}

async function named(kind: 'instance' | 'image' | 'file' | undefined): Promise<readonly string[]> {
  if (kind !== 'instance' && kind !== 'image') return [];
  const { connect } = await import('../client/index.ts');
  const client = await connect({ start: false });
  if (kind === 'instance') return (await client.list()).map(({ spec }) => spec.name);
  return (await client.images()).map((image) => image.name);
}
