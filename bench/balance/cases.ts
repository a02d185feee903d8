/** The generated cases of the benchmark, by half: families to choose parameters on, and families that nothing was chosen on. */
import { FAMILY_NAMES, generate, isForTuning } from '../../src/balance/simulate/families.ts';
import { type RunOptions, run } from '../../src/balance/simulate/run.ts';
import type { Case, Outcome } from '../../src/balance/simulate/types.ts';
import type { Policy } from '../../src/balance/types.ts';

const SEEDS = [1, 2, 3];
const SECONDS = 1200;

export const halfOf = (tuning: boolean): Case[] =>
  FAMILY_NAMES.filter((family) => isForTuning(family) === tuning).flatMap((family) =>
    SEEDS.map((seed) => generate(family, seed, { seconds: SECONDS })),
  );

/** Small enough for V* to be exact. */
export const smallCases = (): Case[] =>
  FAMILY_NAMES.filter((family) => !isForTuning(family)).flatMap((family) =>
    SEEDS.map((seed) => generate(family, seed, { seconds: 300, services: 2, cpus: 8, step: 1 })),
  );

/** The same with CPUs for everybody: what is violated then, requests do by themselves. */
export const unlimited = (scene: Case): Case => {
  const most = scene.cpus * scene.tenants.length;
  const tenants = scene.tenants.map((tenant) => ({ ...tenant, min: scene.cpus, max: most }));
  return { ...scene, cpus: most, tenants };
};

export interface Sum {
  violated: number;
  bestEffort: number;
  moves: number;
  coreSeconds: number;
}

/** Outcomes of a policy over cases, and their sum. */
export function over(cases: readonly Case[], policy: Policy, options: RunOptions): { each: Outcome[]; sum: Sum } {
  const each = cases.map((scene) => run(policy, scene, options));
  const sum = { violated: 0, bestEffort: 0, moves: 0, coreSeconds: 0 };
  for (const outcome of each) {
    sum.violated += outcome.violationSeconds;
    sum.bestEffort += outcome.bestEffortWork;
    sum.moves += outcome.moves;
    sum.coreSeconds += outcome.coreSeconds;
  }
  return { each, sum };
}
