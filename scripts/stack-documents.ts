/** What is written about the options of a stack file, made from their table. */
import { OPTIONS, stackJsonSchema } from '../src/stack/contract.ts';
import { tableOf, withMarked } from './marked.ts';

export const schemaText = (): string => `${JSON.stringify(stackJsonSchema(), null, 2)}\n`;

/** `page` with the table between its marks renewed. */
export function withOptionTable(page: string): string {
  const rows = OPTIONS.map(({ path, type, default: fallback, live, description }) => [
    `\`${path}\``,
    type,
    fallback,
    live ? 'yes' : 'no',
    description,
  ]);
  return withMarked(page, 'options', tableOf(['option', 'type', 'default', 'live', ''], rows));
}
