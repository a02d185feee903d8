/** Commands that show that trouble stays where it starts. */
import type { Loaders } from '../kit/command.ts';

export const COMMANDS: Loaders = {
  'prove containment': () => import('./prove.ts'),
};
