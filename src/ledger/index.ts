export * from './ledger.ts';
export * from './memory.ts';
export type * from './planner/types.ts';
export * from './pool.ts';
export * from './request.ts';
export * from './reserved.ts';
export type * from './types.ts';
