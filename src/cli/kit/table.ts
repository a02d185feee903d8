/** Tables for people, and what stands in their cells. Pure. */
import { plainLine } from '../../sys/text.ts';

/** Columns as wide as their widest cell, two spaces apart; numbers to the right where `right` names the column. */
export function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  right: readonly string[] = [],
): string {
  const cells = rows.map((row) => row.map((cell) => plainLine(cell)));
  const widths = head.map((title, column) =>
    cells.reduce((width, row) => Math.max(width, row[column]!.length), title.length),
  );
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) =>
        right.includes(head[column]!) ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!),
      )
      .join('  ')
      .trimEnd();
  return `${[head, ...cells].map(line).join('\n')}\n`;
}

/** A column of a table: its title, what stands in it (`whole`: all of it, however long), and whether that is a number. */
export type Column<Row> = readonly [title: string, cell: (row: Row, whole: boolean) => string, align?: 'right'];

/** A line for each of `rows`, below the titles. */
export function tableOf<Row>(columns: readonly Column<Row>[], rows: readonly Row[], whole = false): string {
  return table(
    columns.map(([title]) => title),
    rows.map((row) => columns.map(([, cell]) => cell(row, whole))),
    columns.flatMap(([title, , align]) => (align === 'right' ? [title] : [])),
  );
}

/** `5s`, `12m`, `3h`, `2d` since an ISO time; `-` when there is none. */
export function age(iso: string | null, now: number = Date.now()): string {
  if (iso === null) return '-';
  const seconds = Math.max(0, Math.round((now - Date.parse(iso)) / 1000));
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)}m`;
  if (seconds < 172_800) return `${Math.round(seconds / 3600)}h`;
  return `${Math.round(seconds / 86_400)}d`;
}
