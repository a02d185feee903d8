/** `--filter KEY=VALUE` of lists. Pure. */
import { closest } from '../../sys/closest.ts';
import { PolykernelError } from '../../sys/errors.ts';
import type { OptionSpec } from './command.ts';

export const FILTER_OPTION: OptionSpec = {
  short: 'f',
  value: 'KEY=VALUE',
  multiple: true,
  help: 'only what matches, such as name=web',
};

/** By key: whether a row has `value`. Throws PolykernelError for a value that cannot be. */
export type Filters<Row> = Readonly<Record<string, (row: Row, value: string) => boolean>>;

/** The rows that have one of the values of each key, and every label. Throws `invalid`. */
export function filtered<Row>(rows: readonly Row[], given: readonly string[], filters: Filters<Row>): readonly Row[] {
  const wanted = given.map((text) => {
    const at = text.indexOf('=');
    const [key, value] = at === -1 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
    const keys = Object.keys(filters);
    if (!Object.hasOwn(filters, key)) {
      const guess = closest(key, keys);
      throw filterError(
        text,
        `there is no filter ${JSON.stringify(key)}`,
        guess ? `Did you mean ${guess}=...?` : `There is ${keys.join(', ')}.`,
      );
    }
    if (value === undefined) throw filterError(text, `${key} wants a value`, `Write --filter ${key}=VALUE.`);
    return { key, value };
  });
  const groups = [...Map.groupBy(wanted, ({ key, value }) => (key === 'label' ? `label ${value}` : key)).values()];
  return rows.filter((row) => groups.every((group) => group.some(({ key, value }) => filters[key]!(row, value))));
}

export const filterError = (text: string, reason: string, hint: string): PolykernelError =>
  new PolykernelError('invalid', `--filter: ${reason}`, { field: '--filter', value: text, hint });

/** `NAME`, or `NAME=TEXT`, of labels. */
export function hasLabel(labels: Readonly<Record<string, string>>, wanted: string): boolean {
  const at = wanted.indexOf('=');
  const name = at === -1 ? wanted : wanted.slice(0, at);
  return Object.hasOwn(labels, name) && (at === -1 || labels[name] === wanted.slice(at + 1));
}
