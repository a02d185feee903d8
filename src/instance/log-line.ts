/** What the output of instances looks like to clients, and what of it they may ask for. */

/** One piece of output, as it came. `d` is its text, or `b` its bytes in base64 when they are not valid UTF-8. */
export interface LogLine {
  /** ISO 8601 UTC with milliseconds; empty for the console, which keeps no times. */
  t: string;
  s: 'out' | 'err';
  d?: string;
  b?: string;
}

export interface LogQuery {
  /** Goes on with what comes, until the instance has ended for good. */
  follow?: boolean | undefined;
  /** Only the last N lines of text. */
  tail?: number | undefined;
  /** ISO 8601: only what came at that time or later. */
  since?: string | undefined;
  source?: 'workload' | 'console' | undefined;
}
