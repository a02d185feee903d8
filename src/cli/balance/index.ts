/** Commands on where CPUs and memory go while kernels run. */
import type { Loaders } from '../kit/command.ts';

export const COMMANDS: Loaders = {
  'balance simulate': () => import('./simulate.ts'),
};
