/** Commands on services and their promises. */
import type { Loaders } from '../kit/command.ts';

export const COMMANDS: Loaders = {
  'service create': () => import('./create.ts'),
  'service ls': () => import('./ls.ts'),
  'service stats': () => import('./stats.ts'),
  'service inspect': () => import('./inspect.ts'),
  'service update': () => import('./update.ts'),
  'service drain': () => import('./drain.ts'),
  'service weight': () => import('./weight.ts'),
  'service rm': () => import('./rm.ts'),
  slo: () => import('./slo.ts'),
};
