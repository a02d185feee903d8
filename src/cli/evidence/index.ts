/** Commands on what is kept of an instance to find out later what was wrong with it. */
import type { Loaders } from '../kit/command.ts';

export const COMMANDS: Loaders = {
  'core save': () => import('./save.ts'),
  'core show': () => import('./show.ts'),
};
