/**
 * Options of a stack file as a table. Each capability has the rows of its own part; the parser takes its keys from there,
 * docs/stack.md its table, polykernel.schema.json its shape, and the planner what can change without a restart.
 */
import { NAME_PATTERN } from './name.ts';

export type JsonSchema = Readonly<Record<string, unknown>>;

export interface Option {
  /** From the top of the file; `*` stands for a name, `[]` for an item of a list. */
  path: string;
  /** What may stand there, for people. */
  type: string;
  /** Default, for people; `required` where there is none. */
  default: string;
  /** Whether a change takes effect without a restart of the kernel. */
  live: boolean;
  description: string;
  schema: JsonSchema;
}

export type Row = [
  path: string,
  type: string,
  fallback: string,
  live: boolean,
  description: string,
  schema: JsonSchema,
];

/** The options of one part of the file, with what single rows cannot say. */
export interface OptionTable {
  options: readonly Option[];
  /** By path: what stands instead of something else, and what it does not go with. */
  either?: Readonly<Record<string, JsonSchema>>;
  /** By path: what items of a list may be instead of a map. */
  textItems?: Readonly<Record<string, JsonSchema>>;
}

export const optionsOf = (rows: readonly Row[]): Option[] =>
  rows.map(([path, type, fallback, live, description, schema]) => ({
    path,
    type,
    default: fallback,
    live,
    description,
    schema,
  }));

/** The keys that may stand below `path`. */
export function keysOf(options: readonly Option[], path: string): string[] {
  const prefix = path === '' ? '' : `${path}.`;
  return options.flatMap((option) => {
    const rest = option.path.startsWith(prefix) ? option.path.slice(prefix.length) : '';
    return /^[a-zA-Z]+$/.test(rest) ? [rest] : [];
  });
}

export const size: JsonSchema = {
  type: ['string', 'integer'],
  pattern: '^\\s*\\d+(\\.\\d+)?\\s?([kKmMgGtT]([iI][bB])?|[bB])?\\s*$',
  minimum: 1,
};
export const cpuList: JsonSchema = {
  type: ['string', 'integer'],
  pattern: '^\\s*\\d+(-\\d+)?(\\s*,\\s*\\d+(-\\d+)?)*\\s*$',
  minimum: 0,
};
/** What looks like a number or true is a text where a text is wanted. */
export const text: JsonSchema = { type: ['string', 'number', 'boolean'], minLength: 1 };
export const label: JsonSchema = { ...text, pattern: NAME_PATTERN };
/** The properties of an object stand in the table themselves. */
export const object: JsonSchema = { type: 'object' };
export const pciAddress: JsonSchema = {
  type: 'string',
  pattern: '^\\s*([0-9A-Fa-f]{4,8}:)?[0-9A-Fa-f]{2}:[01][0-9A-Fa-f]\\.[0-7]\\s*$',
};
export const perNode: JsonSchema = {
  type: 'object',
  minProperties: 1,
  propertyNames: { pattern: '^\\d+$' },
  additionalProperties: size,
};
