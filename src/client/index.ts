export { Client } from './client.ts';
export { connect, type ConnectOptions, DAEMON_FLAGS } from './connect.ts';
export type { RemoteConsole, RemoteProcess, StreamOptions } from './stream.ts';
