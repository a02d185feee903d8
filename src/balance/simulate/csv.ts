/** Traces of requests per second, as people have them. */
import { PolykernelError } from '../../sys/errors.ts';
import { plainText } from '../../sys/text.ts';

export interface Trace {
  /** Names of tenants, in the order in which they appear. */
  tenants: string[];
  /** Requests per second of each, one value a second. */
  load: Float32Array[];
  seconds: number;
}

/** Values of all tenants together, beyond which the memory of a client does not suffice. */
const MOST_VALUES = 40_000_000;

/** Characters of what is refused. */
const MOST_SHOWN = 60;

/** Of a heading: neither a number nor the beginning of one. */
const isWord = (cell: string): boolean => !/^[-+.\d]/.test(cell);

interface Series {
  times: number[];
  values: number[];
}

/**
 * Reads lines of `value`, `time,value` or `time,tenant,value`, split by comma, semicolon or tab; a first line that is no data is taken
 * for a heading. Times are seconds or ISO 8601; values are requests per second and hold until the next one. Of lines with a value
 * alone, each is `interval` seconds after the one before.
 * Throws `invalid` naming the line.
 */
export function readTrace(text: string, interval = 1, field = '--trace'): Trace {
  const series = new Map<string, Series>();
  let columns = 0;
  let row = 0;
  let line = 0;
  const invalid = (message: string, value?: string) =>
    new PolykernelError('invalid', `${field}: ${message}`, {
      field,
      value,
      hint: 'Write lines of `value`, `time,value` or `time,tenant,value`: seconds or ISO 8601, and requests per second.',
    });
  const refuse = (value: string, reason: string): never => {
    throw invalid(`line ${line}: ${JSON.stringify(plainText(value).slice(0, MOST_SHOWN))} ${reason}`, value);
  };
  for (const raw of lines(text)) {
    line++;
    const cells = raw.split(/[,;\t]/).map((cell) => cell.trim().replace(/^"(.*)"$/, '$1'));
    if (cells.length === 1 && cells[0] === '') continue;
    const value = cells.at(-1) === '' ? Number.NaN : Number(cells.at(-1));
    if (columns === 0 && row === 0 && Number.isNaN(value) && cells.every(isWord)) {
      row = -1;
      continue;
    }
    if (columns === 0) {
      columns = cells.length;
      row = 0;
    }
    if (cells.length !== columns || columns > 3)
      refuse(raw, `has ${cells.length} columns, not ${Math.min(columns, 3)}`);
    if (!(value >= 0 && value <= 1e9)) refuse(cells.at(-1)!, 'is no value from 0 to 10⁹');
    const time = columns === 1 ? row * interval : timeOf(cells[0]!);
    if (!Number.isFinite(time)) refuse(cells[0]!, 'is no time');
    const name = columns === 3 ? cells[1]! : 'service';
    if (name === '') refuse(raw, 'names no tenant');
    let mine = series.get(name);
    if (mine === undefined) {
      mine = { times: [], values: [] };
      series.set(name, mine);
    }
    if (time < (mine.times.at(-1) ?? Number.NEGATIVE_INFINITY)) refuse(cells[0]!, 'is earlier than the one before it');
    mine.times.push(time);
    mine.values.push(value);
    row++;
  }
  if (series.size === 0) throw invalid('there is no value in it');
  return resampled(series, columns === 1 ? interval : undefined, field);
}

function* lines(text: string): Generator<string> {
  let from = 0;
  while (from < text.length) {
    const found = text.indexOf('\n', from);
    const to = found === -1 ? text.length : found;
    yield text.slice(from, text[to - 1] === '\r' ? to - 1 : to);
    from = to + 1;
  }
}

/** Seconds since 1970, or since whatever the trace counts from. */
function timeOf(cell: string): number {
  if (/^-?[\d.]+(e\d+)?$/i.test(cell)) return Number(cell);
  const iso = /^\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d+)?)?)?(Z|[+-]\d\d:?\d\d)?$/.exec(cell);
  if (iso === null) return Number.NaN;
  return Date.parse(iso[4] === undefined ? `${cell.replace(' ', 'T')}${iso[1] === undefined ? '' : 'Z'}` : cell) / 1000;
}

/** One value a second for all, over the span that the trace covers. */
function resampled(series: ReadonlyMap<string, Series>, interval: number | undefined, field: string): Trace {
  let from = Number.POSITIVE_INFINITY;
  let to = Number.NEGATIVE_INFINITY;
  for (const { times, values } of series.values()) {
    from = Math.min(from, times[0]!);
    // The last value holds as long as the one before it did.
    const last = interval ?? (times.length > 1 ? times.at(-1)! - times.at(-2)! : 1);
    to = Math.max(to, times.at(-1)! + (values.length > 0 ? last : 0));
  }
  const seconds = Math.max(1, Math.ceil(to - from - 1e-9));
  if (seconds * series.size > MOST_VALUES) {
    throw new PolykernelError('invalid', `${field}: ${series.size} tenants over ${seconds} s are too many values`, {
      field,
      value: seconds * series.size,
      hint: `At most ${MOST_VALUES.toLocaleString('en')} tenant-seconds fit: cut the trace, or check that its times are seconds.`,
    });
  }
  const load = [...series.values()].map((each) => perSecond(each, from, seconds));
  return { tenants: [...series.keys()], load, seconds };
}

/** Values held until the next one; of several in one second their mean. */
function perSecond({ times, values }: Series, from: number, seconds: number): Float32Array {
  const load = new Float32Array(seconds);
  let held = 0;
  let next = 0;
  for (let second = 0; second < seconds; second++) {
    const first = next;
    let sum = 0;
    for (; next < times.length && times[next]! - from < second + 1 - 1e-9; next++) sum += values[next]!;
    load[second] = next > first ? sum / (next - first) : held;
    if (next > first) held = values[next - 1]!;
  }
  return load;
}
