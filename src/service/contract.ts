export { type ResolvedService, resolveService } from './check.ts';
export { bindText, frontendOf, type ServedService, type Server, standInServer } from './config.ts';
export { type Counts, HaProxy, StartFailure } from './haproxy.ts';
export { parseLine } from './log.ts';
export { parseLatencyPromise } from './promise.ts';
export { serviceTable } from './record.ts';
export type { ServerState, StatRow } from './stat.ts';
export { type SavedTotals, Traffic } from './traffic.ts';
export type * from './types.ts';
