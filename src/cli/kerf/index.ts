/** Commands on hosts that kerf manages: what is taken over, and handed back. */
import type { Loaders } from '../kit/command.ts';

export const COMMANDS: Loaders = {
  'kerf import': () => import('./import.ts'),
  'kerf ls': () => import('./ls.ts'),
  'kerf start': () => import('./start.ts'),
  'kerf stop': () => import('./stop.ts'),
  'kerf rm': () => import('./rm.ts'),
  'kerf release': () => import('./release.ts'),
};
