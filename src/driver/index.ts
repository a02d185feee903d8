export type * from './driver.ts';
export { UmlDriver, type UmlDriverOptions } from './uml.ts';
