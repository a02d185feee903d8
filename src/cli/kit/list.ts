/** The shape of `ls` commands: what there is as a table, as names, through a template, or with --json as the daemon says it. */
import { type Client, connect } from '../../client/index.ts';
import { plainText } from '../../sys/text.ts';
import { type Command, type Invocation, JSON_OPTION, type OptionSpec } from './command.ts';
import { FILTER_OPTION, type Filters, filtered } from './filter.ts';
import { FORMAT_OPTION } from './format-option.ts';
import { print, printJson } from './output.ts';
import { type Column, tableOf } from './table.ts';
import type { View } from './template.ts';

/** How rows are shown, told apart and found. */
export interface Listed<Row extends object> {
  columns: readonly Column<Row>[];
  name(row: Row): string;
  /** For templates; without it a row's own fields. `whole`: nothing is shortened. */
  fields?(row: Row, whole: boolean): View['fields'];
  /** Beside `name`. */
  filters?: Filters<Row>;
}

export const LIST_OPTIONS: Readonly<Record<string, OptionSpec>> = {
  quiet: { short: 'q', help: 'only names' },
  filter: FILTER_OPTION,
  format: FORMAT_OPTION,
  'no-trunc': { help: 'shorten nothing' },
  json: JSON_OPTION,
};

export function list<Row extends object>(
  describe: Pick<Command, 'summary' | 'description' | 'examples'>,
  read: (client: Client) => Promise<readonly Row[]>,
  listed: Listed<Row>,
): Command {
  return {
    ...describe,
    usage: '[OPTION]...',
    options: LIST_OPTIONS,
    arguments: [0, 0],
    async run(invocation) {
      return showRows(invocation, await read(await connect()), listed);
    },
  };
}

/** Shows those of `rows` that the filters leave. Gives the exit code. */
export async function showRows<Row extends object>(
  invocation: Invocation,
  rows: readonly Row[],
  { columns, name, fields = () => ({}), filters = {} }: Listed<Row>,
): Promise<0> {
  const byName = (row: Row, value: string) => name(row).includes(value);
  const shown = filtered(rows, invocation.values('filter'), { name: byName, ...filters });
  const whole = invocation.flag('no-trunc');
  const format = invocation.value('format');
  const asTable = () => tableOf(columns, shown, whole);
  if (invocation.flag('json')) await printJson(shown);
  else if (invocation.flag('quiet')) await print(shown.map((row) => `${name(row)}\n`).join(''));
  else if (format === undefined) await print(asTable());
  else {
    const views = shown.map((row) => ({ fields: fields(row, whole), raw: row }));
    const { formatted } = await import('./format.ts');
    await print(plainText(formatted(format, views, asTable)));
  }
  return 0;
}
