/** The pieces that contracts are written with: JSON Schemas, and the types of the values they describe. */
import type { XStatic } from 'typebox/schema';
import type { Schema } from './validate.ts';

declare const VALUE: unique symbol;

/** A schema whose values are of a type that is written down elsewhere, with words on each field. */
export type SchemaOf<T> = Schema & { readonly [VALUE]: T };

/** The values that a schema describes: the type it was given, else what can be computed from it. */
export type Value<S> = S extends { readonly [VALUE]: infer T } ? T : XStatic<S>;

export const text = { type: 'string' } as const;
export const flag = { type: 'boolean' } as const;
export const count = { type: 'integer', minimum: 0 } as const;
export const number = { type: 'number' } as const;
export const positive = { type: 'number', minimum: 0 } as const;
export const time = { type: 'string', description: 'ISO 8601 UTC' } as const;
export const id = { type: 'string', description: '32 hexadecimal digits' } as const;
/** A duration in milliseconds, of an hour at most. */
export const milliseconds = {
  type: 'integer',
  minimum: 0,
  maximum: 3_600_000,
  description: 'Milliseconds',
  'x-hint': 'At most 1h.',
} as const;
export const texts = { type: 'array', items: text } as const;
export const numbers = { type: 'array', items: number } as const;
/** Nothing may be given: an empty body or query. */
export const nothing = { type: 'object', additionalProperties: false, properties: {}, required: [] } as const;

export const listOf = <const S extends Schema>(items: S) => ({ type: 'array', items }) as const;
export const mapOf = (values: Schema): Schema => ({ type: 'object', additionalProperties: values });
export const oneOf = <const T extends readonly unknown[]>(...words: T) => ({ enum: words }) as const;

/** The same, or null. */
export function orNull<const S extends Schema>(given: S): SchemaOf<Value<S> | null> {
  const { description, ...schema }: Schema = given;
  const words = description === undefined ? {} : { description };
  return typed(
    typeof schema.type === 'string' && schema.title === undefined
      ? { ...words, ...schema, type: [schema.type, 'null'] }
      : { ...words, anyOf: [schema, { type: 'null' }] },
  );
}

/** A schema with a type that it is too loose to compute. */
export const typed = <T>(schema: Schema): SchemaOf<T> => schema as SchemaOf<T>;

/** A schema that OpenAPI states once, under this name. */
export const named = <S extends Schema>(title: string, schema: S): S => ({ title, ...schema });

type Optional<T> = { [K in keyof T]-?: Record<never, never> extends Pick<T, K> ? K : never }[keyof T];

/** An object of type T, with a schema for each of its fields, no more and no less. `optional`: those that may be absent. */
export function record<T extends object>(
  properties: { readonly [K in keyof T]-?: Schema },
  optional: readonly Optional<T>[] = [],
): SchemaOf<T> {
  const required = Object.keys(properties).filter((name) => !(optional as readonly string[]).includes(name));
  return typed<T>({ type: 'object', properties, required });
}

/** What a client sends: no other fields than these, of which it must give the `required` ones. */
export function request<const P extends Readonly<Record<string, Schema>>, const R extends readonly (keyof P)[] = []>(
  properties: P,
  ...required: R
) {
  return { type: 'object', additionalProperties: false, properties, required } as const;
}
