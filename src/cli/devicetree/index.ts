/** Commands on device trees. None asks the daemon. */
import type { Loaders } from '../kit/command.ts';

export const COMMANDS: Loaders = {
  'dt compile': () => import('./compile.ts'),
  'dt decompile': () => import('./decompile.ts'),
  'dt overlay': () => import('./overlay.ts'),
  'dt diff': () => import('./diff.ts'),
  'dt validate': () => import('./validate.ts'),
};
