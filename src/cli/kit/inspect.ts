/** The shape of `inspect` commands: everything about named things, as JSON. */
import { type Client, connect } from '../../client/index.ts';
import { plainText } from '../../sys/text.ts';
import { type Command, JSON_OPTION } from './command.ts';
import { FORMAT_OPTION } from './format-option.ts';
import { print, printJson } from './output.ts';
import type { View } from './template.ts';
import { templateError } from './template-parse.ts';

const noTable = (): never => {
  throw templateError('inspect has no table', "Write such as --format '{{.Name}}', or leave it out for JSON.");
};

/** Shows what `read` says of each name; `noun` is both what they are called and what the shell completes. `fields`: for templates. */
export function inspect<T extends object>(
  noun: 'instance' | 'channel' | 'service',
  example: Command['examples'][number],
  read: (client: Client, name: string) => Promise<T>,
  fields: (value: T) => View['fields'] = () => ({}),
): Command {
  return {
    summary: `show everything about ${noun}s`,
    usage: 'NAME...',
    description: 'Prints JSON: an object for one name, an array for several.',
    options: { format: { ...FORMAT_OPTION, short: 'f' }, json: JSON_OPTION },
    arguments: [1, Number.POSITIVE_INFINITY],
    complete: noun,
    examples: [example],
    async run(invocation) {
      const client = await connect();
      const all = await Promise.all(invocation.positionals.map((name) => read(client, name)));
      const format = invocation.value('format');
      if (format !== undefined && format !== 'json' && !invocation.flag('json')) {
        const views = all.map((value) => ({ fields: fields(value), raw: value }));
        const { formatted } = await import('./format.ts');
        await print(plainText(formatted(format, views, noTable)));
      } else await printJson(all.length === 1 ? all[0] : all);
      return 0;
    },
  };
}
