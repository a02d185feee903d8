/** Commands on how instances do. */
import type { Loaders } from '../kit/command.ts';

export const COMMANDS: Loaders = {
  'health ls': () => import('./ls.ts'),
  'health show': () => import('./show.ts'),
  'health alert': () => import('./alert.ts'),
  'health ack': () => import('./ack.ts'),
};
