/** Commands on kernel images. */
import type { Loaders } from '../kit/command.ts';

export const COMMANDS: Loaders = {
  'image ls': () => import('./ls.ts'),
  'image pull': () => import('./pull.ts'),
  'image import': () => import('./import.ts'),
  'image rm': () => import('./rm.ts'),
  'image sign': () => import('./sign.ts'),
  'image prewarm': () => import('./prewarm.ts'),
};
