export type { HostFacts } from './choose.ts';
export type * from './driver.ts';
export { NotGone, UnusableTemplate } from './driver.ts';
export type * from './traits.ts';
