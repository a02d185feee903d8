/** What is written about the API, made from its contracts: OpenAPI, the table of docs/api.md, and the client's own table. */

import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { CONTRACTS } from '../src/client/contracts.ts';
import type { ClientRoute } from '../src/client/routes.ts';
import type { Api, Route } from '../src/core/route.ts';
import { listOf, named, record, text } from '../src/core/schema.ts';
import type { Schema } from '../src/core/validate.ts';
import { ERROR_TABLE, type ErrorBody } from '../src/sys/errors.ts';
import { tableOf, withMarked } from './marked.ts';
import { partsOf } from './room-lists.ts';

const MOST_COLUMNS = 165;
/** Routes of contracts, by the name of the client's method. */
const ROWS = CONTRACTS.flatMap(({ tag, routes }: Api) =>
  Object.entries(routes).map(([name, route]) => ({ name, tag, ...route })),
);

const errorBody = named(
  'Error',
  record<ErrorBody>({ code: { enum: Object.keys(ERROR_TABLE) }, message: text, field: text, value: {}, hint: text }, [
    'field',
    'value',
    'hint',
  ]),
);

/** What is stated once and named where it is used: schemas that have a title, answers, and what stands in a path. */
class Components {
  readonly #all = new Map<string, object>();
  readonly #parts = { responses: new Map<string, object>(), parameters: new Map<string, object>() };

  get sorted() {
    const sort = (all: ReadonlyMap<string, object>): Record<string, object> =>
      Object.fromEntries([...all].sort(([a], [b]) => (a < b ? -1 : 1)));
    const { responses, parameters } = this.#parts;
    return { parameters: sort(parameters), responses: sort(responses), schemas: sort(this.#all) };
  }

  /** A reference to `part`, which is stated once. Throws when two have one name. */
  once(kind: 'responses' | 'parameters', name: string, part: object): object {
    const known = this.#parts[kind].get(name);
    if (known !== undefined && !isDeepStrictEqual(known, part)) throw new Error(`there are two ${kind} ${name}`);
    this.#parts[kind].set(name, part);
    return { $ref: `#/components/${kind}/${name}` };
  }

  /**
   * The schema as it stands where it is used; a description belongs to that place. Throws when two schemas have one title.
   */
  use({ title, description, ...schema }: Schema): object {
    const words = description === undefined ? {} : { description };
    const inner = this.#inner(schema);
    if (title === undefined) return { ...words, ...inner };
    const known = this.#all.get(title);
    if (known !== undefined && !isDeepStrictEqual(known, inner)) throw new Error(`there are two schemas ${title}`);
    this.#all.set(title, inner);
    return { $ref: `#/components/schemas/${title}`, ...words };
  }

  /** Hints are for who made a mistake: the daemon's answer has them. */
  #inner({ properties, items, anyOf, additionalProperties, 'x-hint': _, ...schema }: Schema): object {
    const list = (schemas: readonly Schema[]) => schemas.map((each) => this.use(each));
    return {
      ...schema,
      ...(properties && {
        properties: Object.fromEntries(Object.entries(properties).map(([name, each]) => [name, this.use(each)])),
      }),
      ...(schema.required?.length === 0 && { required: undefined }),
      ...(additionalProperties !== undefined && {
        additionalProperties:
          typeof additionalProperties === 'boolean' ? additionalProperties : this.use(additionalProperties),
      }),
      ...(items && { items: this.use(items) }),
      ...(anyOf && { anyOf: list(anyOf) }),
    };
  }
}

/** As JSON text with a final line feed. */
export function openapiText(): string {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  const components = new Components();
  const error = content('application/json', components.use(record<{ error: ErrorBody }>({ error: errorBody })));
  components.once('responses', 'Error', { description: 'What is wrong, with the status of its code', content: error });
  const paths: Record<string, Record<string, unknown>> = {};
  for (const { name, tag, ...route } of ROWS.filter(({ hidden }) => !hidden)) {
    const path = route.path.replaceAll(/:(\w+)/g, '{$1}');
    const given = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => inPath(name!, components));
    paths[path] ??= given.length > 0 ? { parameters: given } : {};
    paths[path][route.method.toLowerCase()] = operation(name, tag, route, components);
  }
  return formatted({
    openapi: '3.1.0',
    info: {
      title: 'Polykernel',
      version,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      description:
        'HTTP over the Unix socket daemon.sock of the state directory. An error answers {"error": Error}. ' +
        'docs/api.md describes the WebSocket streams /v1/instances/{name}/attach, exec and console.',
    },
    paths,
    components: components.sorted,
  });
}

const inPath = (name: string, components: Components) =>
  components.once('parameters', name, { name, in: 'path', required: true, schema: { type: 'string' } });

const content = (type: string, schema: object) => ({ [type]: { schema } });

function operation(name: string, tag: string, route: Route, components: Components): object {
  const { body, query, description } = route;
  const parameters = Object.entries(query?.properties ?? {}).map(([name, { description, ...schema }]) => ({
    name,
    in: 'query',
    ...(description && { description }),
    ...(query?.required?.includes(name) && { required: true }),
    schema: components.use(schema),
  }));
  const sent =
    route.kind === 'upload'
      ? content('application/octet-stream', {})
      : body && Object.keys(body.properties ?? {}).length > 0
        ? content('application/json', components.use(body))
        : undefined;
  return {
    operationId: name,
    tags: [route.tag ?? tag],
    summary: route.summary,
    ...(description && { description }),
    ...(parameters.length > 0 && { parameters }),
    ...(sent && { requestBody: { content: sent, ...(body?.required?.length && { required: true }) } }),
    responses: { ...answer(route, components), default: { $ref: '#/components/responses/Error' } },
  };
}

function answer(route: Route, components: Components): Record<string, object> {
  const item = route.answer && components.use(route.answer);
  switch (route.kind) {
    case 'upload':
      return { 204: { description: 'Done' } };
    case 'download':
      return { 200: { description: 'The content', content: content(route.produces!, {}) } };
    case 'events':
      return { 200: { description: 'Server-sent events', content: content('text/event-stream', item!) } };
    case 'lines':
      return { 200: { description: 'Lines of JSON', content: content('application/x-ndjson', item!) } };
    case 'long': {
      const description = 'Lines of JSON: {progress}, then {done} or {error}';
      const line = { properties: { progress: { type: 'string' }, done: item, error: components.use(errorBody) } };
      const response = { description, content: content('application/x-ndjson', { type: 'object', ...line }) };
      return { 200: components.once('responses', `${route.answer?.title ?? ''}Progress`, response) };
    }
    case 'json': {
      if (item === undefined) return { 204: { description: 'Done' } };
      const one = route.list === undefined ? item : list(route.list, item);
      const response = { description: 'The answer', content: content('application/json', one) };
      const title = route.list === undefined ? route.answer?.title : undefined;
      return { [route.status ?? 200]: title === undefined ? response : components.once('responses', title, response) };
    }
  }
}

const list = (name: string, items: object) => ({
  type: 'object',
  properties: { [name]: listOf(items as Schema) },
  required: [name],
});

/** JSON in which what fits a line is on one, and an object of one thing opens on the line of what it is in. */
function formatted(value: unknown): string {
  const text = (each: unknown, indent: string, before: number): string => {
    const short = JSON.stringify(each, null, 1)?.replaceAll(/\n */g, ' ');
    if (typeof each !== 'object' || each === null || before + short!.length < MOST_COLUMNS - 1) return short!;
    const entries = Object.entries(each).filter(([, item]) => item !== undefined);
    const [only] = entries;
    if (!Array.isArray(each) && entries.length === 1) {
      const head = `{ ${JSON.stringify(only![0])}: `;
      return `${head}${text(only![1], indent, before + head.length)} }`;
    }
    const inner = `${indent}  `;
    const [open, close] = Array.isArray(each) ? '[]' : '{}';
    const items = entries.map(([key, item]) => {
      const head = Array.isArray(each) ? inner : `${inner}${JSON.stringify(key)}: `;
      return head + text(item, inner, head.length);
    });
    return `${open}\n${items.join(',\n')}\n${indent}${close}`;
  };
  return `${text(value, '', 0)}\n`;
}

/** `page`, docs/api.md, with its table of routes. */
export function withRouteTable(page: string): string {
  const named = (path: string) => path.replaceAll(/:(\w+)/g, (_, parameter: string) => parameter.toUpperCase());
  const rows = ROWS.map(({ method, path, query, name, summary }) => [
    `\`${method} ${named(path)}${questions(query)}\``,
    `\`${name}\``,
    summary,
  ]);
  return withMarked(page, 'routes', tableOf(['route', 'method of the client', ''], rows));
}

function questions(query: Schema | undefined): string {
  const names = Object.keys(query?.properties ?? {});
  return names.length === 0 ? '' : `?${names.map((name) => `${name}=`).join('&')}`;
}

/** The table by which the client sends: it must not load the contracts, which would cost each `pk` its start-up time. */
export function clientRoutesText(): string {
  const lines = ROWS.flatMap(({ name, ...route }) => {
    const row = clientRoute(route);
    return row === undefined ? [] : [`  ${name}: ${literal(row)},`];
  });
  const page = readFileSync(new URL('../src/client/routes.ts', import.meta.url), 'utf8');
  const [head] = page.split('export const ROUTES');
  return `${head}export const ROUTES: Readonly<Record<string, ClientRoute>> = {\n${lines.join('\n')}\n};\n`;
}

function clientRoute({ method, path, kind, body, query, list, argument }: Route): ClientRoute | undefined {
  if (kind === 'upload' || kind === 'download') return undefined;
  const has = (schema: Schema | undefined) => Object.keys(schema?.properties ?? {}).length > 0;
  const inBody = [...path.matchAll(/:(\w+)/g)].flatMap(([, name]) => (body?.properties?.[name!] ? [name!] : []));
  return {
    method,
    path,
    kind,
    ...(has(body) ? { input: 'body' as const } : has(query) ? { input: 'query' as const } : {}),
    ...(list && { list }),
    ...(argument && { argument }),
    ...(inBody.length > 0 && { inBody }),
  };
}

const literal = (row: object): string =>
  `{ ${Object.entries(row)
    .map(([key, value]) => `${key}: ${Array.isArray(value) ? `['${value.join("', '")}']` : `'${value}'`}`)
    .join(', ')} }`;

/** `page`, docs/api.md, with the table of events as the rooms have them. */
export async function withEventTable(page: string): Promise<string> {
  const all = (await partsOf('events.ts', 'Events')).flatMap(({ value }) => Object.entries(value as object));
  const rows = all.map(([type, when]) => [`\`${type}\``, String(when)]);
  return withMarked(page, 'events', tableOf(['event', 'when'], rows));
}
