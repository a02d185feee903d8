/** Commands on the pool: what the host gave up for instances. */
import type { Loaders } from '../kit/command.ts';

export const COMMANDS: Loaders = {
  'pool init': () => import('./init.ts'),
  'pool show': () => import('./show.ts'),
  'pool grow': () => import('./grow.ts'),
  'pool shrink': () => import('./shrink.ts'),
  'pool dump': () => import('./dump.ts'),
  'pool release': () => import('./release.ts'),
};
