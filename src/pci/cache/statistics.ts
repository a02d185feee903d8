/** What a cache did, in the words of PCSC (PCI Configuration Space Cache, RFC for Linux of October 2025), so that both compare. */

export interface Statistics {
  hits: number;
  misses: number;
  uncachableReads: number;
  writes: number;
  /** Times that something known was dropped. */
  invalidations: number;
  resets: number;
  totalReads: number;
  /** Transactions on the bus, those of finding out what there is and of proofs after a reset as well. */
  hardwareReads: number;
  /** Of these such as asked only for constant bytes. */
  constantReads: number;
  /** Milliseconds in reads, with those of hardware. */
  readMs: number;
  hardwareMs: number;
  missMs: number;
  /** Functions taken over from before a restart. */
  restored: number;
}

export const noStatistics = (): Statistics => ({
  hits: 0,
  misses: 0,
  uncachableReads: 0,
  writes: 0,
  invalidations: 0,
  resets: 0,
  totalReads: 0,
  hardwareReads: 0,
  constantReads: 0,
  readMs: 0,
  hardwareMs: 0,
  missMs: 0,
  restored: 0,
});

export function addStatistics(to: Statistics, more: Statistics): void {
  for (const key of Object.keys(to) as (keyof Statistics)[]) to[key] += more[key];
}
