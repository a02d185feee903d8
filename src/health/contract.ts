/** What others may know of the health of instances: its words. */
export type * from './types.ts';
