/** Commands on channels. */
import type { Loaders } from '../kit/command.ts';

export const COMMANDS: Loaders = {
  'channel create': () => import('./create.ts'),
  'channel ls': () => import('./ls.ts'),
  'channel inspect': () => import('./inspect.ts'),
  'channel stats': () => import('./stats.ts'),
  'channel send': () => import('./send.ts'),
  'channel recv': () => import('./recv.ts'),
  'channel rm': () => import('./rm.ts'),
};
