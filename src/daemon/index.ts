export { createDaemon, type Daemon } from './daemon.ts';
export type { DaemonOptions } from './options.ts';
