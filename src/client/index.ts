/** The API for programs: finds or starts the daemon, and has a method for each route. Public as `polykernel/client`. */
export { type ErrorCode, PolykernelError } from '../sys/errors.ts';
export { Client } from './client.ts';
export { type ConnectOptions, connect } from './connect.ts';
export type { RemoteConsole, RemoteProcess, StreamOptions } from './stream.ts';
