/** What is written about the options of a stack file, made from their table. */
import { OPTIONS, stackJsonSchema } from '../src/stack/contract.ts';

const BEGIN = '<!-- options: written by scripts/stack-reference.ts -->';
const END = '<!-- end of options -->';

export const schemaText = (): string => `${JSON.stringify(stackJsonSchema(), null, 2)}\n`;

/** `page` with the table between its marks renewed. */
export function withOptionTable(page: string): string {
  const [before, after] = [page.split(BEGIN)[0]!, page.split(END)[1]!];
  const rows = OPTIONS.map(
    (option) =>
      `| \`${option.path}\` | ${option.type} | ${option.default} | ${option.live ? 'yes' : 'no'} | ${option.description} |`,
  );
  const head = ['| option | type | default | live | |', '| --- | --- | --- | --- | --- |'];
  return `${before}${BEGIN}\n${[...head, ...rows].join('\n')}\n${END}${after}`;
}
