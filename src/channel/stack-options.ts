/** The options of channels in a stack file. */
import { label, type OptionTable, object, optionsOf, size } from '../core/stack-options.ts';

export const channelOptions: OptionTable = {
  options: optionsOf([
    ['channels', 'map of name to channel', 'none', true, 'rings of shared memory between kernels', object],
    ['channels.*.from', 'name of a kernel, or host', 'host', false, 'who sends; a change makes it anew', label],
    ['channels.*.to', 'name of a kernel, or host', 'host', false, 'who receives; a change makes it anew', label],
    ['channels.*.size', 'size', '1MiB', false, 'for messages under way, a power of two; a change makes it anew', size],
  ]),
};
