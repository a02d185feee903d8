/** Commands on Polykernel itself: what it can do here, its daemon, its version, its words for shells. */
import type { Loaders } from '../kit/command.ts';

export const COMMANDS: Loaders = {
  doctor: () => import('./doctor.ts'),
  daemon: () => import('./daemon.ts'),
  completion: () => import('./completion.ts'),
  version: () => import('./version.ts'),
};
