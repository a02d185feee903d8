/**
 * `sh scripts/node.sh bench/balance/tune.ts [POLICY...]`: tries each policy's grid on the tuning half and writes the choices to tuned.json, from which
 * the benchmark takes them. One rule for all, ours included: the fewest violated seconds among settings that leave best effort nine
 * tenths of what the equal split leaves it; where none does, the one that leaves it most.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { POLICIES } from '../../src/balance/policy/policies.ts';
import { ownArguments } from '../../src/sys/node.ts';
import { halfOf, over, type Sum } from './cases.ts';

type Parameters = Record<string, number>;
const FILE = join(import.meta.dirname, 'tuned.json');

function* grid(of: Readonly<Record<string, readonly number[]>>): Generator<Parameters> {
  const [first, ...others] = Object.entries(of);
  if (first === undefined) {
    yield {};
    return;
  }
  for (const value of first[1])
    for (const rest of grid(Object.fromEntries(others))) yield { [first[0]]: value, ...rest };
}

const cases = halfOf(true);
const least = over(cases, POLICIES[0]!, {}).sum.bestEffort;
const only = ownArguments();
const tuned: Record<string, Parameters> = JSON.parse(readFileSync(FILE, 'utf8'));
for (const policy of POLICIES) {
  if (only.length > 0 && !only.includes(policy.name)) continue;
  let best: { parameters: Parameters; sum: Sum } | undefined;
  for (const parameters of grid(policy.grid)) {
    const { sum } = over(cases, policy, { parameters });
    if (best === undefined || isBetter(sum, best.sum)) best = { parameters, sum };
  }
  tuned[policy.name] = best!.parameters;
  const { violated, bestEffort } = best!.sum;
  console.log(
    policy.name,
    JSON.stringify(best!.parameters),
    `${violated} s violated, ${Math.round(bestEffort)} of ${least}`,
  );
}
writeFileSync(FILE, `${JSON.stringify(tuned, null, 2)}\n`);

function isBetter(a: Sum, b: Sum): boolean {
  const enough = (sum: Sum) => sum.bestEffort >= 0.9 * least;
  if (enough(a) !== enough(b)) return enough(a);
  return enough(a) ? a.violated < b.violated : a.bestEffort > b.bestEffort;
}
