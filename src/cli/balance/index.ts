/** Commands on where CPUs and memory go while kernels run. */
import type { Loaders } from '../kit/command.ts';

export const COMMANDS: Loaders = {
  update: () => import('./update.ts'),
  'move cpu': () => import('./move-cpu.ts'),
  'move memory': () => import('./move-memory.ts'),
  'balance status': () => import('./status.ts'),
  'balance on': () => import('./on.ts'),
  'balance off': () => import('./off.ts'),
  'balance observe': () => import('./observe.ts'),
  'balance policy': () => import('./policy.ts'),
  'balance why': () => import('./why.ts'),
  'balance hold': () => import('./hold.ts'),
  'balance replay': () => import('./replay.ts'),
  'balance simulate': () => import('./simulate.ts'),
};
