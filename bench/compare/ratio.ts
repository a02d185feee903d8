/**
 * How many times B is A, from runs taken in the order A B B A. Pure.
 *
 * A block of four gives one number, (ln B1 + ln B2 - ln A1 - ln A2) / 2: a machine that grows steadily slower adds nothing to
 * it, and where A and B are equal it is as often above as below zero, however wild single runs are. So the Wilcoxon signed-rank
 * interval holds without asking how the runs are spread, and one run that met a busy moment does not widen it as it would
 * an interval made of means.
 */

/** What four runs took, in the order in which they were made: A, B, B, A. */
export type Block = readonly [a1: number, b1: number, b2: number, a2: number];

export interface Ratio {
  /** B / A: the Hodges-Lehmann estimate. */
  ratio: number;
  /** Ends of its 95 % interval. */
  low: number;
  high: number;
}

/** Fewer blocks have no 95 % interval worth the name, and looking so early finds one too narrow by chance. */
export const FEWEST_BLOCKS = 8;
/** 97.5 % of a normal distribution lies below. */
const Z = 1.959964;

/** Throws RangeError for a run that is not a positive number. */
export function logRatio([a1, b1, b2, a2]: Block): number {
  for (const value of [a1, b1, b2, a2])
    if (!(value > 0 && value < Number.POSITIVE_INFINITY)) throw new RangeError(`${value} has no logarithm`);
  return (Math.log(b1) + Math.log(b2) - Math.log(a1) - Math.log(a2)) / 2;
}

/** undefined below FEWEST_BLOCKS. */
export function ratioOf(blocks: readonly Block[]): Ratio | undefined {
  const count = blocks.length;
  if (count < FEWEST_BLOCKS) return undefined;
  const walsh = walshAverages(blocks.map(logRatio));
  // Of the signed-rank statistic: mean n(n+1)/4, variance n(n+1)(2n+1)/24.
  const spread = Z * Math.sqrt((count * (count + 1) * (2 * count + 1)) / 24);
  const rank = Math.max(1, Math.floor((count * (count + 1)) / 4 - spread));
  const middle = walsh.length >> 1;
  const estimate = walsh.length % 2 === 1 ? walsh[middle]! : (walsh[middle - 1]! + walsh[middle]!) / 2;
  return {
    ratio: Math.exp(estimate),
    low: Math.exp(walsh[rank - 1]!),
    high: Math.exp(walsh[walsh.length - rank]!),
  };
}

/** Width of the interval in percentage points. */
export const widthPoints = ({ low, high }: Ratio): number => (high - low) * 100;

/** The means of all pairs, each with itself too, in ascending order: n(n+1)/2 of them. */
function walshAverages(values: readonly number[]): Float64Array {
  const averages = new Float64Array((values.length * (values.length + 1)) / 2);
  let next = 0;
  for (let i = 0; i < values.length; i++)
    for (let j = i; j < values.length; j++) averages[next++] = (values[i]! + values[j]!) / 2;
  return averages.sort();
}
