/** What others may know of upgrades: their words. */
export type * from './requests.ts';
