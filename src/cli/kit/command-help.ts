/** What `pk COMMAND --help` says, made of what the command says of itself. */
import { type Described, HELP_OPTION, type OptionSpec } from './command.ts';

export function commandHelp(name: string, command: Described): string {
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
