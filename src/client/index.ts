export { Client } from './client.ts';
export { type ConnectOptions, connect } from './connect.ts';
export type { RemoteConsole, RemoteProcess, StreamOptions } from './stream.ts';
