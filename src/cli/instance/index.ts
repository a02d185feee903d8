/** Commands on instances, and what happens to them. */
import type { Loaders } from '../kit/command.ts';

export const COMMANDS: Loaders = {
  run: () => import('./run.ts'),
  ps: () => import('./ps.ts'),
  logs: () => import('./logs.ts'),
  exec: () => import('./exec.ts'),
  console: () => import('./console.ts'),
  inspect: () => import('./inspect.ts'),
  port: () => import('./port.ts'),
  start: () => import('./start.ts'),
  stop: () => import('./stop.ts'),
  restart: () => import('./restart.ts'),
  kill: () => import('./kill.ts'),
  pause: () => import('./pause.ts'),
  resume: () => import('./resume.ts'),
  wait: () => import('./wait.ts'),
  rm: () => import('./rm.ts'),
  unshare: () => import('./unshare.ts'),
  top: () => import('./top.ts'),
  stats: () => import('./stats.ts'),
  cp: () => import('./cp.ts'),
  events: () => import('./events.ts'),
};
