import { SCHEMAS } from '../../devicetree/schemas.ts';
import { type Command, JSON_OPTION } from '../kit/command.ts';
import { print, printJson } from '../kit/output.ts';
import { readTree, TREE_OPTIONS } from './files.ts';

export const command: Command = {
  summary: 'say what is wrong with a device tree',
  usage: '[OPTION]... TREE',
  description:
    'A source or a blob. With --schema, also what the one who is to read it would refuse, or take otherwise than meant. Ends with 0 when nothing is refused, else with 1; with 2 where it is no device tree.',
  options: {
    schema: {
      value: 'NAME',
      choices: Object.keys(SCHEMAS),
      help: 'whose rules it is to keep (default: those of all trees)',
    },
    ...TREE_OPTIONS,
    json: JSON_OPTION,
  },
  arguments: [1, 1],
  complete: 'file',
  examples: [['pk dt validate pool.dts --schema multikernel', 'before a kernel is asked to part its machine so']],
  async run(invocation) {
    const path = invocation.positionals[0]!;
    const tree = await readTree(path, invocation);
    const schema = invocation.value('schema');
    const { what, findings } = schema === undefined ? { what: 'device tree', findings: [] } : SCHEMAS[schema]!(tree);
    if (invocation.flag('json')) await printJson({ what, findings });
    else {
      const lines = findings.map(({ kind, path: at, problem }) => `${kind}: ${at}: ${problem}\n`);
      await print(lines.join('') || `${path} is a good ${what}\n`);
    }
    return findings.some(({ kind }) => kind === 'error') ? 1 : 0;
  },
};
