/**
 * One quantum of Karma: who lends now may borrow later.
 * Source: OSDI'23, https://www.usenix.org/conference/osdi23/presentation/vuppalapati; written from the law, no code was taken.
 */
import { level } from './level.ts';
import { levelByRank } from './ranks.ts';

export interface Quantum {
  /** Units that belong to nobody, and those that are each one's own: fair[i]. All whole numbers. */
  common: number;
  fair: ArrayLike<number>;
  /** Before this quantum. */
  credits: ArrayLike<number>;
  demand: ArrayLike<number>;
  /** Borrowers of a higher one come first; none = all are alike. */
  priorities?: ArrayLike<number>;
}

export interface Shared {
  allocation: Float64Array;
  /** After it. */
  credits: Float64Array;
  /** Units lent by nobody to nobody: free ones. */
  unused: number;
}

/**
 * Everybody gets min(demand, fair). What donors leave and the common units go to borrowers for a credit each: all that they want when
 * there is enough, with the units of the poorest donors first, who earn a credit for each; else to the richest borrowers, levelling.
 */
export function quantum({ common, fair, credits, demand, priorities = [] }: Quantum): Shared {
  const count = demand.length;
  const income = Math.floor(common / count);
  const purse = new Float64Array(count);
  const allocation = new Float64Array(count);
  const donated = new Float64Array(count);
  const wanted = new Float64Array(count);
  let donations = 0;
  let wants = 0;
  for (let index = 0; index < count; index++) {
    purse[index] = credits[index]! + income;
    allocation[index] = Math.min(demand[index]!, fair[index]!);
    donated[index] = fair[index]! - allocation[index]!;
    wanted[index] = Math.min(demand[index]! - allocation[index]!, Math.max(0, purse[index]!));
    donations += donated[index]!;
    wants += wanted[index]!;
  }
  const supply = donations + common;
  const enough = supply >= wants;
  const lent = enough
    ? level(
        purse.map((each) => -each),
        donated,
        Math.min(wants, donations),
      )
    : donated;
  const borrowed = enough ? wanted : levelByRank(priorities, purse, wanted, supply);
  for (let index = 0; index < count; index++) {
    allocation[index]! += borrowed[index]!;
    purse[index]! += lent[index]! - borrowed[index]!;
  }
  return { allocation, credits: purse, unused: enough ? supply - wants : 0 };
}
