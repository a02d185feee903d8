/** What others may know of evidence: its words. */
export type * from './types.ts';
