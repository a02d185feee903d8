/** Commands on stack files. */
import type { Loaders } from '../kit/command.ts';

export const COMMANDS: Loaders = {
  validate: () => import('./validate.ts'),
  plan: () => import('./plan.ts'),
  apply: () => import('./apply.ts'),
  diff: () => import('./diff.ts'),
  destroy: () => import('./destroy.ts'),
};
