/** Commands on PCI functions that can be given to instances. */
import type { Loaders } from '../kit/command.ts';

export const COMMANDS: Loaders = {
  'sriov ls': () => import('./ls.ts'),
  'sriov plan': () => import('./plan.ts'),
  'sriov enable': () => import('./enable.ts'),
  'sriov disable': () => import('./disable.ts'),
  'sriov assign': () => import('./assign.ts'),
  'sriov set': () => import('./set.ts'),
  'sriov release': () => import('./release.ts'),
};
