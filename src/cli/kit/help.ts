/** Help texts, read off the command table. */

import { COMMANDS, SETUP_SUMMARY } from '../commands.ts';
import { type Command, HELP_OPTION, type OptionSpec } from './command.ts';

export function overview(): string {
  const entries = [...Object.entries(COMMANDS).map(([name, entry]) => [name, entry.summary]), ['setup', SETUP_SUMMARY]];
  return [
    'pk gives any command a Linux kernel of its own.',
    '',
    'Usage: pk COMMAND [OPTION]... [ARGUMENT]...',
    '',
    ...entries.map(([name, summary]) => `  ${name!.padEnd(17)}${summary}`),
    '',
    'Examples:',
    '  pk run -- uname -a',
    '  pk run --driver qemu --cpus 2 --memory 512M -- nproc',
    '  pk run -d --name web --restart on-failure -- node server.js',
    '',
    '`pk COMMAND --help` explains one command. `pk` is short for `polykernel`.',
    '',
  ].join('\n');
}

/** Help on a word that is no command by itself: `image`, which groups some, and `setup`, which needs no Node. */
export function topicHelp(topic: string): string {
  if (topic === 'setup') return `pk setup: ${SETUP_SUMMARY}\n\nUsage: pk setup [--quiet] [--skip-images] [--tests]\n`;
  const entries = Object.entries(COMMANDS).filter(([name]) => name.startsWith(`${topic} `));
  return [
    `Usage: pk ${topic} COMMAND [OPTION]... [ARGUMENT]...`,
    '',
    ...entries.map(([name, entry]) => `  ${name.padEnd(17)}${entry.summary}`),
    '',
    `\`pk ${topic} COMMAND --help\` explains one of them.`,
    '',
  ].join('\n');
}

export function commandHelp(name: string, command: Command): string {
  const options = { ...command.options, help: HELP_OPTION };
  const rows = Object.entries<OptionSpec>(options).map(
    ([key, option]) => [optionForm(key, option), option.help] as const,
  );
  const width = Math.max(...rows.map(([form]) => form.length)) + 2;
  const examples = command.examples.map(([line, why]) => `  ${line}\n      ${why}`);
  return [
    `pk ${name}: ${command.summary}`,
    '',
    `Usage: pk ${name} ${command.usage}`,
    ...(command.description === undefined ? [] : ['', command.description]),
    '',
    'Options:',
    ...rows.map(([form, help]) => `  ${form.padEnd(width)}${help}`),
    ...(examples.length === 0 ? [] : ['', 'Examples:', ...examples]),
    '',
  ].join('\n');
}

function optionForm(key: string, option: OptionSpec): string {
  const value = option.value === undefined ? '' : ` ${option.choices?.join('|') ?? option.value}`;
  return `${option.short === undefined ? '    ' : `-${option.short}, `}--${key}${value}`;
}
