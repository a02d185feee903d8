/** Every option of a stack file, out of all capabilities' tables, and its schema. */
import {
  type JsonSchema,
  keysOf as keysAmong,
  label,
  type Option,
  type OptionTable,
  object,
  optionsOf,
} from '../core/stack-options.ts';
import { kernelOptions } from '../instance/stack.ts';
import { poolOptions } from '../pool/stack.ts';
import { sections } from './section-list.ts';

const TOP: OptionTable = {
  options: optionsOf([
    ['name', 'name', "the directory's", false, 'name of the stack; another name is another stack', label],
  ]),
  // A pool may be there for itself, and nothing else.
  either: { '': { anyOf: [{ required: ['pool'] }, { properties: { kernels: { minProperties: 1 } } }] } },
};

const TABLES: readonly OptionTable[] = [TOP, poolOptions, kernelOptions, ...Object.values(sections)];

export const OPTIONS: readonly Option[] = TABLES.flatMap(({ options }) => options);
const EITHER: Readonly<Record<string, JsonSchema>> = Object.assign({}, ...TABLES.map(({ either }) => either));
const TEXT_ITEMS: Readonly<Record<string, JsonSchema>> = Object.assign({}, ...TABLES.map(({ textItems }) => textItems));

/** The keys that may stand below `path`. */
export const keysOf = (path: string): string[] => keysAmong(OPTIONS, path);

/** The stack file as JSON Schema (draft 2020-12), for editors: shapes and words; what depends on more the parser checks. */
export function stackJsonSchema(): JsonSchema {
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'Polykernel stack file',
    ...schemaOf(''),
  };
}

function schemaOf(path: string): JsonSchema {
  const properties = Object.fromEntries(
    keysOf(path).map((key) => {
      const below = path === '' ? key : `${path}.${key}`;
      const option = OPTIONS.find((each) => each.path === below)!;
      return [key, { description: `${option.description}. Default: ${option.default}`, ...filled(option) }];
    }),
  );
  const required = Object.keys(properties).filter((key) => isRequired(path, key));
  return {
    type: 'object',
    additionalProperties: false,
    patternProperties: { '^x-': true },
    properties,
    ...(required.length > 0 && { required }),
    ...EITHER[path],
  };
}

/** Where one of several things has to stand, none of them alone is required. */
function isRequired(path: string, key: string): boolean {
  const option = OPTIONS.find((each) => each.path === (path === '' ? key : `${path}.${key}`));
  return option?.default === 'required' && EITHER[path]?.oneOf === undefined;
}

/** The option's own schema with what the table says of the options below it. */
function filled({ path, schema }: Option): JsonSchema {
  if (OPTIONS.some((option) => option.path.startsWith(`${path}.*.`)))
    return { ...schema, propertyNames: label, additionalProperties: schemaOf(`${path}.*`) };
  const items = TEXT_ITEMS[path];
  if (items !== undefined) return { type: 'array', items: { anyOf: [items, schemaOf(`${path}[]`)] } };
  if (keysOf(path).length === 0) return orVariable(schema);
  if (schema === object) return schemaOf(path);
  const alternatives = schema.anyOf as readonly JsonSchema[];
  return { anyOf: alternatives.map((each) => (each === object ? schemaOf(path) : each)) };
}

const VARIABLE: JsonSchema = { type: 'string', pattern: '\\$' };

/** Where not any text may stand, a text with a variable may. */
function orVariable(schema: JsonSchema): JsonSchema {
  const isText = Array.isArray(schema.type) && schema.type.includes('string') && schema.pattern === undefined;
  return isText ? schema : { anyOf: [schema, VARIABLE] };
}
