/**
 * `sh scripts/node.sh bench/balance/tune.ts [POLICY...]`: tries each policy's grid on the tuning half and writes the choices to tuned.json, from which
 * the benchmark takes them. One rule for all, ours included: the fewest violated seconds among settings that leave best effort nine
 * tenths of what the equal split leaves it, and of those within a fiftieth of that the one that leaves it most; where none does, the one
 * that leaves it most.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { POLICIES } from '../../src/balance/policy/policies.ts';
import { ownArguments } from '../../src/sys/node.ts';
import { halfOf, over, type Sum } from './cases.ts';

type Parameters = Record<string, number>;
/** Sums of violated seconds within this factor are alike: a case or two make more. */
const ALIKE = 1.02;
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
  const tried = Array.from(grid(policy.grid), (parameters) => ({ parameters, ...over(cases, policy, { parameters }) }));
  const best = bestOf(tried);
  tuned[policy.name] = best.parameters;
  const { violated, bestEffort } = best.sum;
  console.log(
    policy.name,
    JSON.stringify(best.parameters),
    `${violated} s violated, ${Math.round(bestEffort)} of ${least}`,
  );
}
writeFileSync(FILE, `${JSON.stringify(tuned, null, 2)}\n`);

function bestOf<Tried extends { sum: Sum }>(tried: readonly Tried[]): Tried {
  const enough = tried.filter(({ sum }) => sum.bestEffort >= 0.9 * least);
  const fewest = Math.min(...enough.map(({ sum }) => sum.violated));
  const alike = enough.length === 0 ? tried : enough.filter(({ sum }) => sum.violated <= ALIKE * fewest);
  return alike.reduce((a, b) => (b.sum.bestEffort > a.sum.bestEffort ? b : a));
}
