/** What others may know of balancing: its words, the policies, the simulator. */

export type { ToldDecision } from './decision-log.ts';
export { POLICIES } from './policy/policies.ts';
export type { Replay } from './replay.ts';
export type * from './requests.ts';
export { clairvoyant, regret } from './simulate/clairvoyant.ts';
export { readTrace } from './simulate/csv.ts';
export { caseOf, readHost } from './simulate/host.ts';
export { report } from './simulate/report.ts';
export { run } from './simulate/run.ts';
export { Timeline } from './simulate/timeline.ts';
export type * from './simulate/types.ts';
export type { BalanceStatus } from './status.ts';
export type * from './types.ts';
