/** What others may know of healing: its words. */
export type * from './types.ts';
