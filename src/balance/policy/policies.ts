/** All policies by name, in the order in which they are shown: the baselines, then ours. */
import type { Policy } from '../types.ts';
import { autothrottle } from './autothrottle.ts';
import { karma, maxMin } from './karma.ts';
import { koordinator } from './koordinator.ts';
import { parties } from './parties.ts';
import { slo } from './slo.ts';
import { staticPolicy } from './static.ts';
import { threshold, thresholdFast } from './threshold.ts';

export const POLICIES: readonly Policy[] = [
  staticPolicy,
  threshold,
  thresholdFast,
  parties,
  autothrottle,
  koordinator,
  karma,
  maxMin,
  slo,
];
