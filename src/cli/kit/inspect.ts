/** The shape of `inspect` commands: everything about named things, as JSON. */
import { type Client, connect } from '../../client/index.ts';
import { type Command, JSON_OPTION } from './command.ts';
import { printJson } from './output.ts';

/** Shows what `read` says of each name; `noun` is both what they are called and what the shell completes. */
export function inspect(
  noun: 'instance' | 'channel' | 'service',
  example: Command['examples'][number],
  read: (client: Client, name: string) => Promise<unknown>,
): Command {
  return {
    summary: `show everything about ${noun}s`,
    usage: 'NAME...',
    description: 'Prints JSON: an object for one name, an array for several.',
    options: { json: JSON_OPTION },
    arguments: [1, Number.POSITIVE_INFINITY],
    complete: noun,
    examples: [example],
    async run(invocation) {
      const client = await connect();
      const all = await Promise.all(invocation.positionals.map((name) => read(client, name)));
      await printJson(all.length === 1 ? all[0] : all);
      return 0;
    },
  };
}
