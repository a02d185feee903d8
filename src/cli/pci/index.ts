/** Commands on configuration spaces of PCI functions. They ask the kernel themselves, no daemon. */
import type { Loaders } from '../kit/command.ts';

export const COMMANDS: Loaders = {
  'pci ls': () => import('./ls.ts'),
  'pci show': () => import('./show.ts'),
  'pci read': () => import('./read.ts'),
  'pci cache': () => import('./cache.ts'),
};
