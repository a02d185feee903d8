/** What others see of hosts that kerf manages. */
export type * from './types.ts';
