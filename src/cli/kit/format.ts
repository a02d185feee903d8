/** `--format`: rows as JSON, as a table, or each through a template, as docker has it. Pure. */
import { table } from './table.ts';
import { compileTemplate, headOf, type View } from './template.ts';

/**
 * Lines of text. `whole` is the usual table. Throws `invalid` for a template that is none, and for fields that there are not.
 */
export function formatted(format: string, views: readonly View[], whole: () => string): string {
  const text = unescaped(format);
  if (text === 'table') return whole();
  if (text === 'json') return views.map(compileTemplate('{{json .}}\n')).join('');
  const columns = /^table\s+(.*)$/s.exec(text)?.[1];
  const render = compileTemplate(columns ?? text);
  if (columns === undefined) return views.map((view) => `${render(view)}\n`).join('');
  const head = headOf(columns).split('\t');
  const rows = views.map((view) => render(view).split('\t'));
  return table(
    head,
    rows.map((row) => head.map((_, column) => row[column] ?? '')),
  );
}

/** In a shell's quotes they are two characters. */
const unescaped = (format: string): string => format.replaceAll('\\t', '\t').replaceAll('\\n', '\n');
