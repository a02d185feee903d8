export { createDaemon, type Daemon, type DaemonOptions } from './daemon.ts';
export { Store } from './store.ts';
