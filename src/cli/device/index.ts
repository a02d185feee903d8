/** Commands on the PCI functions of one instance. */
import type { Loaders } from '../kit/command.ts';

export const COMMANDS: Loaders = {
  'device attach': () => import('./attach.ts'),
  'device detach': () => import('./detach.ts'),
};
