/** The shape of `ls` commands: what there is as a table, or with --json as the daemon says it. */
import { type Client, connect } from '../../client/index.ts';
import { type Command, JSON_OPTION } from './command.ts';
import { answer } from './output.ts';
import { type Column, tableOf } from './table.ts';

export function list<Row>(
  describe: Pick<Command, 'summary' | 'description' | 'examples'>,
  read: (client: Client) => Promise<readonly Row[]>,
  columns: readonly Column<Row>[],
): Command {
  return {
    ...describe,
    usage: '[OPTION]...',
    options: { json: JSON_OPTION },
    arguments: [0, 0],
    async run(invocation) {
      return answer(invocation, await read(await connect()), (rows) => tableOf(columns, rows));
    },
  };
}
