/** The functions of `--format`: those of Go's templates and of docker's that people use. Pure. */
import { goText, isTruth } from './go-text.ts';
import { templateError } from './template-parse.ts';

const textOf = (value: unknown, name: string): string => {
  if (typeof value === 'string') return value;
  throw templateError(`${name} wants a text, not ${goText(value)}`);
};
const size = (value: unknown): number => {
  if (typeof value === 'string' || Array.isArray(value)) return value.length;
  if (typeof value === 'object' && value !== null) return Object.keys(value).length;
  throw templateError(`len wants a text, a list or a map, not ${goText(value)}`);
};
const compare = (name: string, holds: (order: number) => boolean) => (a: unknown, b: unknown) => {
  const isOrdered = typeof a === typeof b && (typeof a === 'number' || typeof a === 'string');
  if (!isOrdered) throw templateError(`${name} wants two numbers or two texts`);
  return holds((a as number) < (b as number) ? -1 : a === b ? 0 : 1);
};

function index(from: unknown, ...keys: unknown[]): unknown {
  return keys.reduce((value, key) => {
    if (typeof value !== 'object' || value === null) return undefined;
    return Object.hasOwn(value, String(key)) ? (value as Record<string, unknown>)[String(key)] : undefined;
  }, from);
}

const VERB = /%([-+# 0]*)(\d{0,4})(?:\.(\d{1,2}))?(.?)/gsu;

/** Go's verbs, with flags, a width and a precision. A verb that is not one, and values too few or too many, are errors. */
function printf(format: unknown, ...values: unknown[]): string {
  let at = 0;
  const text = textOf(format, 'printf').replace(
    VERB,
    (whole, flags: string, width: string, precision: string | undefined, verb: string) => {
      if (verb === '%') return '%';
      const write = Object.hasOwn(verbs, verb) ? verbs[verb] : undefined;
      if (write === undefined) throw templateError(`printf does not know ${whole}`, `It knows ${VERBS}.`);
      if (at >= values.length) throw templateError(`printf has no value for ${whole}`);
      return padded(write(values[at++], precision === undefined ? undefined : Number(precision), whole), flags, width);
    },
  );
  if (at < values.length) throw templateError(`printf has values without a verb: ${values.length - at}`);
  return text;
}

function padded(text: string, flags: string, width: string): string {
  const signed = flags.includes('+') && /^\d/.test(text) ? `+${text}` : text;
  if (flags.includes('-')) return signed.padEnd(Number(width));
  if (!flags.includes('0') || !/^[-+]?\d/.test(signed)) return signed.padStart(Number(width));
  const sign = /^[-+]?/.exec(signed)![0];
  return sign + signed.slice(sign.length).padStart(Number(width) - sign.length, '0');
}

const cut = (value: unknown, precision: number | undefined): string =>
  precision === undefined ? goText(value) : [...goText(value)].slice(0, precision).join('');
const numberOf = (value: unknown, verb: string): number => {
  if (typeof value === 'number') return value;
  throw templateError(`${verb} wants a number, not ${goText(value)}`);
};
const verbs: Readonly<Record<string, (value: unknown, precision: number | undefined, verb: string) => string>> = {
  s: cut,
  v: cut,
  d: goText,
  q: (value) => JSON.stringify(goText(value)),
  t: (value) => String(value === true),
  f: (value, precision, verb) => numberOf(value, verb).toFixed(precision ?? 6),
  x: (value) =>
    typeof value === 'number' ? Math.trunc(value).toString(16) : Buffer.from(goText(value)).toString('hex'),
};
const VERBS = `${Object.keys(verbs)
  .map((verb) => `%${verb}`)
  .join(', ')} and %%`;

/** As Go: by bytes there, by characters here. */
function slice(value: unknown, from: unknown = 0, to?: unknown): unknown {
  if (typeof value !== 'string' && !Array.isArray(value))
    throw templateError(`slice wants a text or a list, not ${goText(value)}`);
  const [begin, end] = [Number(from), to === undefined ? value.length : Number(to)];
  if (!(begin >= 0 && begin <= end && end <= value.length))
    throw templateError(`slice ${begin} to ${end} is not within the ${value.length} there are`);
  return value.slice(begin, end);
}

export const functions: Readonly<Record<string, (...args: unknown[]) => unknown>> = {
  json: (value) => JSON.stringify(value ?? null),
  upper: (text) => textOf(text, 'upper').toUpperCase(),
  lower: (text) => textOf(text, 'lower').toLowerCase(),
  title: (text) => textOf(text, 'title').replace(/\b\p{L}/gu, (letter) => letter.toUpperCase()),
  join: (list, by) => (Array.isArray(list) ? list.map(goText).join(textOf(by, 'join')) : goText(list)),
  split: (text, by) => textOf(text, 'split').split(textOf(by, 'split')),
  truncate: (text, length) => textOf(text, 'truncate').slice(0, Number(length)),
  pad: (text, before, after) => ' '.repeat(clamp(before)) + textOf(text, 'pad') + ' '.repeat(clamp(after)),
  len: size,
  slice,
  index,
  print: (...values) => values.map(goText).join(''),
  println: (...values) => `${values.map(goText).join(' ')}\n`,
  printf,
  eq: (first, ...others) => others.some((other) => other === first),
  ne: (a, b) => a !== b,
  lt: compare('lt', (order) => order < 0),
  le: compare('le', (order) => order <= 0),
  gt: compare('gt', (order) => order > 0),
  ge: compare('ge', (order) => order >= 0),
  not: (value) => !isTruth(value),
  // What is found nowhere is at -1: the last.
  and: (...values) => values.at(values.findIndex((value) => !isTruth(value))),
  or: (...values) => values.at(values.findIndex(isTruth)),
};

const clamp = (value: unknown): number => Math.min(Math.max(0, Number(value) || 0), 1000);
