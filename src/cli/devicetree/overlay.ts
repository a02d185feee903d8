import { applyOverlay, encode } from '../../devicetree/index.ts';
import type { Command } from '../kit/command.ts';
import { OUTPUT_OPTION, readTree, TREE_OPTIONS, write } from './files.ts';

export const command: Command = {
  summary: 'apply overlays to a device tree',
  usage: '[OPTION]... TREE OVERLAY...',
  description:
    'One after the other, as fdtoverlay does. Each may be a source or a blob; a source as TREE is taken with --symbols.',
  options: { output: OUTPUT_OPTION, include: TREE_OPTIONS.include! },
  arguments: [2, Number.POSITIVE_INFINITY],
  complete: 'file',
  examples: [['pk dt overlay base.dtb uart.dtbo -o board.dtb', 'what base.dtb is with the overlay']],
  async run(invocation) {
    const [base, ...overlays] = invocation.positionals;
    let tree = await readTree(base!, invocation, { symbols: true });
    for (const overlay of overlays) tree = applyOverlay(tree, await readTree(overlay, invocation, { symbols: true }));
    await write(invocation, encode(tree));
    return 0;
  },
};
