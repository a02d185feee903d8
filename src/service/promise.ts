/** What is promised of a service (`--slo`), as people write it. */

/** `p99=20ms`, `p99.9=1.5s`; undefined for anything else. */
export function parseLatencyPromise(text: string): { percentile: number; milliseconds: number } | undefined {
  const [, percentile, time, unit] = /^p(\d{1,2}(?:\.\d{1,3})?)=(\d{1,9}(?:\.\d{1,3})?)(ms|s)$/.exec(text) ?? [];
  if (percentile === undefined) return undefined;
  return { percentile: Number(percentile), milliseconds: Number(time) * (unit === 's' ? 1000 : 1) };
}
