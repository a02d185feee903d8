import { printDts } from '../../devicetree/index.ts';
import type { Command } from '../kit/command.ts';
import { OUTPUT_OPTION, readTree, write } from './files.ts';

export const command: Command = {
  summary: 'make a source of a device-tree blob',
  usage: '[-o FILE] BLOB',
  description:
    'The source compiles to the same tree. A value is shown as texts where it can be, else as cells, else as bytes.',
  options: { output: OUTPUT_OPTION },
  arguments: [1, 1],
  complete: 'file',
  examples: [['pk dt decompile /sys/firmware/fdt', 'what firmware told this kernel, where it did']],
  async run(invocation) {
    await write(invocation, printDts(await readTree(invocation.positionals[0]!, invocation)));
    return 0;
  },
};
