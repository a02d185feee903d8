/** Commands on the machine as a whole: who owns what of it. */
import type { Loaders } from '../kit/command.ts';

export const COMMANDS: Loaders = {
  map: () => import('./map.ts'),
};
