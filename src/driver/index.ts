export type { HostFacts } from './choose.ts';
export type * from './driver.ts';
