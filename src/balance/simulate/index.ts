/** The simulator, for those who run it. Apart from the contract: a daemon that moves CPUs needs none of it. */
export { POLICIES } from '../policy/policies.ts';
export { clairvoyant, regret } from './clairvoyant.ts';
export { readTrace } from './csv.ts';
export { caseOf, readHost } from './host.ts';
export { report } from './report.ts';
export { run } from './run.ts';
export { Timeline } from './timeline.ts';
export type * from './types.ts';
