/** Commands on what is healed, and who is left alone. */
import type { Loaders } from '../kit/command.ts';

export const COMMANDS: Loaders = {
  'heal ls': () => import('./ls.ts'),
  'heal log': () => import('./log.ts'),
  'heal off': () => import('./off.ts'),
  'heal on': () => import('./on.ts'),
};
