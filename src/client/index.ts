export { Client } from './client.ts';
export { type ConnectOptions, connect, DAEMON_FLAGS } from './connect.ts';
export type { RemoteConsole, RemoteProcess, StreamOptions } from './stream.ts';
