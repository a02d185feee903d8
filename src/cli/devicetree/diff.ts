import { diffTrees, propertyText, type TreeChange } from '../../devicetree/index.ts';
import { type Command, JSON_OPTION } from '../kit/command.ts';
import { print, printJson } from '../kit/output.ts';
import { readTree, TREE_OPTIONS } from './files.ts';

export const command: Command = {
  summary: 'how two device trees differ',
  usage: '[OPTION]... BEFORE AFTER',
  description:
    'Sources or blobs; the order in them does not matter. Ends with 0 when they do not differ, with 1 when they do.',
  options: { ...TREE_OPTIONS, json: JSON_OPTION },
  arguments: [2, 2],
  complete: 'file',
  examples: [['pk dt diff old.dtb board.dts', 'what was added (+), removed (-) and changed']],
  async run(invocation) {
    const [before, after] = invocation.positionals;
    const changes = diffTrees(await readTree(before!, invocation), await readTree(after!, invocation));
    if (invocation.flag('json')) await printJson(changes.map(asJson));
    else await print(changes.map((change) => `${lines(change).join('\n')}\n`).join(''));
    return changes.length === 0 ? 0 : 1;
  },
};

/** `- ` before what only BEFORE has, `+ ` before what only AFTER has; of a node its path alone. */
function lines({ path, property, before, after, kind }: TreeChange): string[] {
  if (property === undefined) return [`${kind === 'added' ? '+' : '-'} ${path}`];
  return [
    ...(before === undefined ? [] : [`- ${path}: ${propertyText(property, before)}`]),
    ...(after === undefined ? [] : [`+ ${path}: ${propertyText(property, after)}`]),
  ];
}

/** Values as hexadecimal digits. */
const asJson = ({ before, after, ...change }: TreeChange) => ({
  ...change,
  ...(before === undefined ? {} : { before: Buffer.from(before).toString('hex') }),
  ...(after === undefined ? {} : { after: Buffer.from(after).toString('hex') }),
});
