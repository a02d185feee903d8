/** The times of `pk logs`: from when, and until when. */
import type { LogLine } from '../../instance/contract.ts';
import { PolykernelError } from '../../sys/errors.ts';
import { parseDuration } from '../../sys/units.ts';

/** More than a timer of Node can wait. */
const MOST_WAIT_MS = 2 ** 31 - 1;

/** A time as ISO 8601 from such a one, from seconds since 1970, or from how long ago it was. Throws `invalid`. */
export function instant(text: string, field: string, nowMs = Date.now()): string {
  if (/^\d{4}-/.test(text) && !Number.isNaN(Date.parse(text))) return new Date(text).toISOString();
  // As docker takes it; no log has lines of 2001 and before.
  if (/^\d{10}(\.\d{1,9})?$/.test(text)) return new Date(Number(text) * 1000).toISOString();
  try {
    return new Date(nowMs - parseDuration(text, field)).toISOString();
  } catch {
    throw new PolykernelError('invalid', `${field}: ${JSON.stringify(text)} is neither a duration nor a time`, {
      field,
      value: text,
      hint: 'Write a duration such as 10m, or an ISO 8601 time such as 2026-11-23T10:00:00Z.',
    });
  }
}

/** Those of `lines` from before `untilMs`; what is still to come is waited for until then. */
export async function* before(lines: AsyncIterable<LogLine>, untilMs: number): AsyncGenerator<LogLine> {
  const iterator = lines[Symbol.asyncIterator]();
  const { promise: over, resolve } = Promise.withResolvers<undefined>();
  const leftMs = untilMs - Date.now();
  // A time that is past ends nothing: what is there already is read to its end.
  const timer = leftMs > 0 ? setTimeout(() => resolve(undefined), Math.min(leftMs, MOST_WAIT_MS)) : undefined;
  try {
    for (;;) {
      const next = await Promise.race([iterator.next(), over]);
      if (next === undefined || next.done === true || Date.parse(next.value.t) >= untilMs) return;
      yield next.value;
    }
  } finally {
    clearTimeout(timer);
    // Not waited for: it ends when what it waits for comes.
    void iterator.return?.().catch(() => {});
  }
}
