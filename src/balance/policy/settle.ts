/** From wishes to moves: who gives to whom. */
import type { Decision, Side, Window, Wish } from '../types.ts';

/**
 * Pairs those that shrink with those that grow, the largest difference first, free CPUs before all. A wish that nobody's CPUs can
 * meet is met in part. The same wishes give the same moves.
 */
export function settle(window: Window, wished: readonly Wish[]): Decision[] {
  if (wished.length === 0) return [];
  const { kernels, observations, at } = window;
  let free = window.cpus;
  for (const seen of observations) free -= seen.cpus;
  const size = (index: number) => observations[index]!.cpus;
  const parties = wished.map((wish) => ({ wish, now: size(wish.index), open: wish.cpus - size(wish.index) }));
  const takers = parties.filter(({ open }) => open > 0).sort((a, b) => b.open - a.open || a.wish.index - b.wish.index);
  const givers = parties.filter(({ open }) => open < 0).sort((a, b) => a.open - b.open || a.wish.index - b.wish.index);
  const change = (party: (typeof parties)[number], by: number): Side => {
    const before = party.now;
    party.now = tidy(party.now + by);
    party.open = tidy(party.open - by);
    return { kernel: kernels[party.wish.index]!.name, before, after: party.now, reason: party.wish.reason };
  };
  const decisions: Decision[] = [];
  for (const taker of takers) {
    const name = kernels[taker.wish.index]!.name;
    const unowned = tidy(Math.min(free, taker.open));
    if (unowned > 0) {
      free -= unowned;
      decisions.push({
        at,
        move: { kind: 'cpu', from: null, to: name, count: unowned },
        taker: change(taker, unowned),
      });
    }
    for (const giver of givers) {
      if (taker.open <= 0) break;
      const count = tidy(Math.min(taker.open, -giver.open));
      if (count <= 0) continue;
      const from = kernels[giver.wish.index]!.name;
      decisions.push({
        at,
        move: { kind: 'cpu', from, to: name, count },
        giver: change(giver, -count),
        taker: change(taker, count),
      });
    }
  }
  for (const giver of givers) {
    if (giver.open >= 0) continue;
    const count = -giver.open;
    const from = kernels[giver.wish.index]!.name;
    decisions.push({ at, move: { kind: 'cpu', from, to: null, count }, giver: change(giver, -count) });
  }
  return decisions;
}

/** Sums of shares without the dust of floating point. */
const tidy = (cpus: number): number => Math.round(cpus * 1e6) / 1e6;
