/** Commands on a machine's topology: packages, caches, memory, devices. */
import type { Loaders } from '../kit/command.ts';

export const COMMANDS: Loaders = {
  topology: () => import('./topology.ts'),
};
