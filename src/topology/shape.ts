/** Checks of JSON from outside: each takes a value and the path it was found at, and gives it typed or throws `invalid`. */
import { PolykernelError } from '../sys/errors.ts';

export type Check<T> = (value: unknown, path: string) => T;

export function refuse(path: string, value: unknown, reason: string): never {
  const field = path === '' ? 'topology' : path;
  const shown = JSON.stringify(value) ?? 'nothing';
  const text = shown.length > 60 ? `${shown.slice(0, 60)}…` : shown;
  throw new PolykernelError('invalid', `${field}: ${text} ${reason}`, {
    field,
    value,
    hint: 'Give what `pk topology --json` printed, unchanged.',
  });
}

export const integer =
  (least: number, most: number = Number.MAX_SAFE_INTEGER): Check<number> =>
  (value, path) => {
    if (Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most) return value as number;
    const bound = most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`;
    return refuse(path, value, `is not a whole number ${bound}`);
  };

export const boolean: Check<boolean> = (value, path) =>
  typeof value === 'boolean' ? value : refuse(path, value, 'is neither true nor false');

export const string =
  (most: number): Check<string> =>
  (value, path) =>
    typeof value === 'string' && value.length <= most
      ? value
      : refuse(path, value, `is not a text of at most ${most} characters`);

export const oneOf =
  <const T extends string | number>(...values: readonly T[]): Check<T> =>
  (value, path) =>
    (values as readonly unknown[]).includes(value)
      ? (value as T)
      : refuse(path, value, `is not one of ${values.join(', ')}`);

export const nullable =
  <T>(check: Check<T>): Check<T | null> =>
  (value, path) =>
    value === null ? null : check(value, path);

export const array =
  <T>(check: Check<T>, most: number): Check<T[]> =>
  (value, path) => {
    if (!Array.isArray(value) || value.length > most) return refuse(path, value, `is not a list of at most ${most}`);
    return value.map((item, index) => check(item, `${path}[${index}]`));
  };

/** All of `fields`, and nothing else but `ignored`. */
export const object =
  <T>(fields: { [Key in keyof T]-?: Check<T[Key]> }, ignored: readonly string[] = []): Check<T> =>
  (value, path) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return refuse(path, value, 'is no object');
    const at = (key: string) => (path === '' ? key : `${path}.${key}`);
    for (const key of Object.keys(value)) {
      if (!Object.hasOwn(fields, key) && !ignored.includes(key))
        refuse(at(key), (value as never)[key], 'is not a known field');
    }
    const checked = Object.entries<Check<unknown>>(fields).map(([key, check]) => {
      if (!Object.hasOwn(value, key)) refuse(at(key), undefined, 'is missing');
      return [key, check((value as never)[key], at(key))];
    });
    return Object.fromEntries(checked) as T;
  };
