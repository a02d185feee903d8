export type { ApiContext, Images } from './context.ts';
export { createApi } from './server.ts';
export { serveStreams } from './streams.ts';
export type * from './types.ts';
