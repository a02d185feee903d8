/** What the output of instances looks like to clients. */

/** One piece of output, as it came. `d` is its text, or `b` its bytes in base64 when they are not valid UTF-8. */
export interface LogLine {
  /** ISO 8601 UTC with milliseconds; empty for the console, which keeps no times. */
  t: string;
  s: 'out' | 'err';
  d?: string;
  b?: string;
}
