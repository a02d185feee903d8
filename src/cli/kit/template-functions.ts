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

/** %s, %v, %d, %q and %%, with a width. */
function printf(format: unknown, ...values: unknown[]): string {
  let at = 0;
  return textOf(format, 'printf').replace(
    /%(-?)(\d{0,4})([svdq%])/g,
    (_, left: string, width: string, verb: string) => {
      if (verb === '%') return '%';
      const value = values[at++];
      const text = verb === 'q' ? JSON.stringify(goText(value)) : goText(value);
      return left ? text.padEnd(Number(width)) : text.padStart(Number(width));
    },
  );
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
