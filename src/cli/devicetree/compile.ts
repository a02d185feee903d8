import { encode, versionOf } from '../../devicetree/index.ts';
import type { Command } from '../kit/command.ts';
import { CPP_OPTION, OUTPUT_OPTION, readTree, TREE_OPTIONS, write } from './files.ts';

export const command: Command = {
  summary: 'make a blob of a device-tree source',
  usage: '[OPTION]... SOURCE',
  description: 'The blob is byte for byte that of dtc. SOURCE is - for standard input; what cpp writes is understood.',
  options: {
    output: OUTPUT_OPTION,
    ...TREE_OPTIONS,
    cpp: CPP_OPTION,
    'boot-cpu': { value: 'N', help: 'physical id of the CPU that boots (default: reg of the first in /cpus)' },
    version: { value: 'N', choices: ['16', '17'], help: 'of the format (default 17)' },
  },
  arguments: [1, 1],
  complete: 'file',
  examples: [
    ['pk dt compile board.dts -o board.dtb', 'as dtc does'],
    ['pk dt compile --cpp -I include board.dts -o board.dtb', 'with macros of C'],
  ],
  async run(invocation) {
    const version = versionOf(invocation.value('version'));
    const bootCpu = invocation.integer('boot-cpu', 0);
    const tree = await readTree(invocation.positionals[0]!, invocation, { bootCpu });
    await write(invocation, encode(tree, { version }));
    return 0;
  },
};
