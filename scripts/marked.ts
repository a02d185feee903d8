/** Parts of a page of docs that are written by a program: between a line that says by which, and one that ends them. */

/** `page` with what stands between the marks of `name` renewed. Throws when it has no such marks. */
export function withMarked(page: string, name: string, lines: readonly string[]): string {
  const begin = page.indexOf(`<!-- ${name}: `);
  const start = page.indexOf('\n', begin) + 1;
  const end = page.indexOf(`<!-- end of ${name} -->`, start);
  if (begin === -1 || end === -1) throw new Error(`the page has no marks of ${name}`);
  return `${page.slice(0, start)}${lines.join('\n')}\n${page.slice(end)}`;
}

/** A table in Markdown. */
export const tableOf = (head: readonly string[], rows: readonly (readonly string[])[]): string[] =>
  [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`);
