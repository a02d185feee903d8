/** How another machine than this one is named. Apart from host.ts, which reads it: that is loaded only when it is. */
import type { OptionSpec } from '../kit/command.ts';

export const HOST_OPTION: Readonly<Record<string, OptionSpec>> = {
  host: {
    value: 'DIR|FILE',
    complete: 'file',
    help: 'another machine: a snapshot of its /sys and /proc, or its `pk topology --json`',
  },
};
