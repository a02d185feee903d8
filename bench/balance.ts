/** How policies do on families of load that nothing was chosen on, how far the fluid can be trusted, and what deciding and simulating cost. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { POLICIES } from '../src/balance/policy/policies.ts';
import { clairvoyant, regret } from '../src/balance/simulate/clairvoyant.ts';
import { run } from '../src/balance/simulate/run.ts';
import type { Case, Outcome } from '../src/balance/simulate/types.ts';
import { halfOf, over, type Sum, smallCases, unlimited } from './balance/cases.ts';
import { modelRows } from './balance/models.ts';
import { decisionRow, speedRows } from './balance/speed.ts';
import { atLeast, atMost, type Bench, median, type Row } from './row.ts';

const TUNED: Record<string, Record<string, number>> = JSON.parse(
  readFileSync(join(import.meta.dirname, 'balance', 'tuned.json'), 'utf8'),
);
/** Of each case `slo` may violate so much of what the equal split does, and so many seconds more. */
const NEVER_WORSE = 1.05;
const GRACE_SECONDS = 5;

interface Scored {
  name: string;
  each: Outcome[];
  sum: Sum;
}

export const balance: Bench = async (progress) => {
  const rows: Row[] = [decisionRow(progress)];
  const scores = (cases: readonly Case[], half: string, events = false): Scored[] =>
    POLICIES.map((policy) => {
      progress(`balance: ${policy.name} on ${half}`);
      return { name: policy.name, ...over(cases, policy, { parameters: TUNED[policy.name] ?? {}, events }) };
    });
  const heldOut = halfOf(false);
  const scored = scores(heldOut, 'the held-out half');
  rows.push(...judged(scored, 'held-out families'));
  rows.push(...judged(scores(halfOf(true), 'the tuning half'), 'tuning families'));
  rows.push(
    ...judged(
      avoidable(heldOut, scores(heldOut, 'the held-out half, as events', true)),
      'held-out, request by request',
    ),
  );
  progress('balance: regret, exactly');
  rows.push(regretRow('V* exactly: 2 services and a batch kernel on 8 CPUs, 1 s steps', smallCases()));
  rows.push(regretRow('V* by a bound: 3 services on 12 CPUs', heldOut, scored));
  rows.push(...modelRows(progress));
  rows.push(...speedRows(progress));
  return rows;
};

/** Without the seconds that are violated with CPUs for everybody: few requests, of which one takes too long by itself. */
function avoidable(cases: readonly Case[], scores: readonly Scored[]): Scored[] {
  const own = cases.map((scene) => run(POLICIES[0]!, unlimited(scene), { events: true }).violationSeconds);
  return scores.map(({ name, each, sum }) => {
    const less = each.map((outcome, index) => ({
      ...outcome,
      violationSeconds: Math.max(0, outcome.violationSeconds - own[index]!),
    }));
    return {
      name,
      each: less,
      sum: { ...sum, violated: less.reduce((total, each) => total + each.violationSeconds, 0) },
    };
  });
}

/** `slo` against the baseline that violates the fewest seconds, and against the equal split case by case. */
function judged(scores: readonly Scored[], where: string): Row[] {
  const ours = scores.find(({ name }) => name === 'slo')!;
  const equal = scores.find(({ name }) => name === 'static')!;
  const best = scores
    .filter(({ name }) => name !== 'slo' && name !== 'static')
    .reduce((a, b) => (b.sum.violated < a.sum.violated ? b : a));
  const all = scores
    .map(({ name, sum }) => `${name} ${sum.violated} s, ${Math.round(sum.bestEffort)} CPU-s, ${sum.moves} moves`)
    .join('; ');
  const excess = ours.each.map((outcome, index) => {
    const allowed = NEVER_WORSE * equal.each[index]!.violationSeconds + GRACE_SECONDS;
    return outcome.violationSeconds / allowed;
  });
  return [
    atMost(0.5, {
      name: `violated seconds of slo, ${where}`,
      value: ours.sum.violated,
      unit: 's',
      peer: `the best baseline, ${best.name}`,
      peerValue: best.sum.violated,
      note: all,
    }),
    atLeast(1, {
      name: `best-effort work beside it, ${where}`,
      value: ours.sum.bestEffort,
      unit: 'CPU-s',
      peer: best.name,
      peerValue: best.sum.bestEffort,
    }),
    atMost(1, {
      name: `worst case of slo against static, ${where}`,
      value: Math.max(...excess),
      unit: 'x',
      peer: `${NEVER_WORSE} x static + ${GRACE_SECONDS} s`,
      peerValue: 1,
      note: `${excess.filter((each) => each > 1).length} of ${excess.length} cases are above it`,
    }),
  ];
}

/** `known`: outcomes of these cases, where they were run before. */
function regretRow(how: string, cases: readonly Case[], known: readonly Scored[] = []): Row {
  const violated = (name: string, index: number): number => {
    const found = known.find((scored) => scored.name === name)?.each[index];
    const policy = POLICIES.find((each) => each.name === name)!;
    return (found ?? run(policy, cases[index]!, { parameters: TUNED[name] ?? {} })).violationSeconds;
  };
  const regrets: number[] = [];
  let below = 0;
  for (const [index, scene] of cases.entries()) {
    const { seconds } = clairvoyant(scene);
    const ours = violated('slo', index);
    const found = regret(ours, violated('static', index), seconds);
    if (ours < seconds) below++;
    if (found !== null) regrets.push(found);
  }
  const above = regrets.filter((each) => each > 1).length;
  return atMost(0.3, {
    of: 'value',
    name: `regret of slo, median of ${regrets.length} held-out cases; ${how}`,
    value: median(regrets),
    unit: '',
    peer: 'static',
    peerValue: 1,
    note: `above 1 in ${above}, below V* in ${below}`,
  });
}
