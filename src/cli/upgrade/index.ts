/** Commands that have what runs be another version. */
import type { Loaders } from '../kit/command.ts';

export const COMMANDS: Loaders = {
  upgrade: () => import('./upgrade.ts'),
};
