/**
 * Checks untrusted JSON against the subset of JSON Schema that this project's schemas use, and says in a person's words
 * what is wrong. It stands in for a general validator because the daemon must stay small (ajv with its code generation
 * costs 8 MiB of resident memory) and because a general validator's messages do not name a remedy.
 */
import { closest } from '../sys/closest.ts';
import { PolykernelError } from '../sys/errors.ts';

/** The keywords understood; `x-hint` is the remedy shown with an error at this place. */
export interface Schema {
  readonly type?: 'object' | 'array' | 'string' | 'integer' | 'number' | 'boolean' | 'null' | readonly string[];
  /** Under which OpenAPI states it once. */
  readonly title?: string;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | Schema;
  readonly maxProperties?: number;
  readonly items?: Schema;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly pattern?: string;
  readonly enum?: readonly unknown[];
  /** Objects told apart by their property `kind`, which is an enum of one in each; or null and something else. */
  readonly anyOf?: readonly Schema[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly 'x-hint'?: string;
}

const patterns = new Map<string, RegExp>();

/**
 * Returns `value` when it fits, with strings turned into numbers and booleans if `coerce` (query strings).
 * Throws `invalid` naming the field by its path (`volumes[0].target`), the value, the reason and the remedy.
 */
export function validate(schema: Schema, value: unknown, options: { coerce?: boolean; name?: string } = {}): unknown {
  return check(schema, value, '', options.coerce ?? false, options.name ?? 'the request body');
}

/** The alternative of the value's kind; for a value of no kind one that says which there are. */
function ofKind(all: readonly Schema[], value: unknown): Schema {
  const isNull = (schema: Schema) => schema.type === 'null';
  const alternatives = all.filter((schema) => isNull(schema) === (value === null && all.some(isNull)));
  if (alternatives.length === 1) return alternatives[0]!;
  const kindsOf = (schema: Schema) => schema.properties?.kind?.enum ?? [];
  const kind = isType('object', value) ? (value as { kind?: unknown }).kind : undefined;
  const kinds = alternatives.flatMap(kindsOf);
  return (
    alternatives.find((schema) => kindsOf(schema).includes(kind)) ?? {
      type: 'object',
      required: ['kind'],
      properties: { kind: { enum: kinds } },
    }
  );
}

function check(schema: Schema, given: unknown, path: string, coerce: boolean, name: string): unknown {
  const value = coerce ? coerced(schema, given) : given;
  if (schema.anyOf !== undefined) return check(ofKind(schema.anyOf, value), value, path, coerce, name);
  const fail = (reason: string, hint = schema['x-hint']): never => {
    throw new PolykernelError('invalid', `${path === '' ? name : path} ${reason}`, {
      field: path === '' ? undefined : path,
      value: shorten(value),
      hint,
    });
  };
  const types = schema.type === undefined ? [] : typeof schema.type === 'string' ? [schema.type] : schema.type;
  if (types.length > 0 && !types.some((type) => isType(type, value))) {
    fail(`must be ${types.map(withArticle).join(' or ')}, not ${describe(value)}`);
  }
  if (schema.enum !== undefined && !schema.enum.includes(value)) {
    const close = typeof value === 'string' ? closest(value, schema.enum.map(String)) : undefined;
    fail(`is ${describe(value)}, which is not one of ${schema.enum.join(', ')}`, close && `Did you mean ${close}?`);
  }
  if (typeof value === 'string') {
    if (value.length < (schema.minLength ?? 0)) fail('must not be empty');
    if (value.length > (schema.maxLength ?? Infinity)) fail(`is longer than ${schema.maxLength} characters`);
    if (schema.pattern !== undefined && !regExp(schema.pattern).test(value))
      fail(`is ${describe(value)}, which is malformed`);
  } else if (typeof value === 'number') {
    if (value < (schema.minimum ?? -Infinity)) fail(`is ${value}; the least is ${schema.minimum}`);
    if (value > (schema.maximum ?? Infinity)) fail(`is ${value}; the most is ${schema.maximum}`);
  } else if (Array.isArray(value)) {
    if (value.length < (schema.minItems ?? 0)) fail('must not be empty');
    if (value.length > (schema.maxItems ?? Infinity)) fail(`has ${value.length} items; the most is ${schema.maxItems}`);
    const items = schema.items;
    return items === undefined
      ? value
      : value.map((item, index) => check(items, item, `${path}[${index}]`, coerce, name));
  } else if (typeof value === 'object' && value !== null) {
    return checkObject(schema, value as Record<string, unknown>, path, coerce, name, fail);
  }
  return value;
}

function checkObject(
  schema: Schema,
  value: Record<string, unknown>,
  path: string,
  coerce: boolean,
  name: string,
  fail: (reason: string) => never,
): unknown {
  const result: Record<string, unknown> = {};
  const at = (key: string) => (path === '' ? key : `${path}.${key}`);
  const keys = Object.keys(value);
  if (keys.length > (schema.maxProperties ?? Infinity))
    fail(`has ${keys.length} entries; the most is ${schema.maxProperties}`);
  for (const key of keys) {
    const known =
      schema.properties !== undefined && Object.hasOwn(schema.properties, key) ? schema.properties[key] : undefined;
    const { additionalProperties: others } = schema;
    const inner = known ?? (typeof others === 'object' ? others : undefined);
    if (inner !== undefined || others === true) {
      // A key set to undefined in the sender is absent in JSON; null is a value and is checked.
      const item = inner === undefined ? value[key] : check(inner, value[key], at(key), coerce, name);
      Object.defineProperty(result, key, { value: item, enumerable: true, writable: true, configurable: true });
    } else if (others === false) {
      const close = closest(key, Object.keys(schema.properties ?? {}));
      throw new PolykernelError('invalid', `${at(key)} is not a known field`, {
        field: at(key),
        value: shorten(value[key]),
        hint: close
          ? `Did you mean ${at(close)}?`
          : `Known fields: ${Object.keys(schema.properties ?? {}).join(', ')}.`,
      });
    }
  }
  for (const key of schema.required ?? []) {
    if (Object.hasOwn(value, key)) continue;
    throw new PolykernelError('invalid', `${at(key)} is missing`, {
      field: at(key),
      hint: schema.properties?.[key]?.['x-hint'],
    });
  }
  return result;
}

function coerced(schema: Schema, value: unknown): unknown {
  if (typeof value !== 'string') return value;
  if ((schema.type === 'integer' || schema.type === 'number') && /^-?\d{1,15}$/.test(value)) return Number(value);
  if (schema.type === 'boolean') {
    if (value === '1' || value === 'true' || value === '') return true;
    if (value === '0' || value === 'false') return false;
  }
  return value;
}

function isType(type: string, value: unknown): boolean {
  switch (type) {
    case 'object':
      return typeof value === 'object' && value !== null && !Array.isArray(value);
    case 'array':
      return Array.isArray(value);
    case 'integer':
      return Number.isSafeInteger(value);
    case 'number':
      return Number.isFinite(value);
    case 'null':
      return value === null;
    default:
      return typeof value === type;
  }
}

const withArticle = (type: string) =>
  type === 'integer' ? 'a whole number' : /^[aeiou]/.test(type) ? `an ${type}` : type === 'null' ? 'null' : `a ${type}`;

function describe(value: unknown): string {
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'object' && value !== null) return 'an object';
  return JSON.stringify(shorten(value)) ?? 'nothing';
}

/** Keeps error bodies small whatever was sent. */
function shorten(value: unknown): unknown {
  if (typeof value === 'string') return value.length > 100 ? `${value.slice(0, 100)}…` : value;
  if (typeof value === 'object' && value !== null) {
    const text = JSON.stringify(value);
    return text.length > 200 ? `${text.slice(0, 200)}…` : value;
  }
  return value;
}

function regExp(pattern: string): RegExp {
  let compiled = patterns.get(pattern);
  if (compiled === undefined) {
    compiled = new RegExp(pattern, 'u');
    patterns.set(pattern, compiled);
  }
  return compiled;
}
