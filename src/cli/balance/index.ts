/** Commands on what kernels have, and what moves between them. */
import type { Loaders } from '../kit/command.ts';

export const COMMANDS: Loaders = {
  update: () => import('./update.ts'),
  'move cpu': () => import('./move-cpu.ts'),
  'move memory': () => import('./move-memory.ts'),
  'balance simulate': () => import('./simulate.ts'),
};
