/** What others may know of balancing: its words, the policies, the simulator. */
export { POLICIES } from './policy/policies.ts';
export { settle } from './policy/settle.ts';
export type * from './types.ts';
export { why } from './why.ts';
