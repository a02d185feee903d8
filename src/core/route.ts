/**
 * Routes as contracts state them: where they are, what they take and what they answer. Checks, handlers' types, the client's
 * methods and OpenAPI are made from these rows. Only data: a client may load it.
 */
import type { IncomingHttpHeaders } from 'node:http';
import type { Readable } from 'node:stream';
import type { EventLog } from './events.ts';
import type { Value } from './schema.ts';
import type { Schema } from './validate.ts';

/**
 * `json`: one answer. `long`: lines of progress, then the answer. `lines`: answers one by one, as lines of JSON. `events`:
 * server-sent events. `download`: bytes. `upload`: bytes in the place of a JSON body.
 */
export type Kind = 'json' | 'long' | 'lines' | 'events' | 'download' | 'upload';

/** What there is to say of a route. What has no schema is not checked. */
export interface RouteOptions {
  readonly summary: string;
  readonly description?: string;
  /** Under which its contract's tag is not where a reader looks for it. */
  readonly tag?: string;
  readonly query?: Schema;
  readonly body?: Schema;
  /** Without one it answers 204. */
  readonly answer?: Schema;
  /** Of the answer; default 200. */
  readonly status?: number;
  /** It answers a list of `answer` in an object with this one field. */
  readonly list?: string;
  /** The field of the body that the client's method takes in the place of the body. */
  readonly argument?: string;
  /** Content type of a download. */
  readonly produces?: string;
  /** Not in OpenAPI. */
  readonly hidden?: boolean;
}

export interface Route extends RouteOptions {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** Parameters begin with a colon. */
  readonly path: string;
  readonly kind: Kind;
}

type Stated<M extends Route['method'], P extends string, K extends Kind, O> = O & { method: M; path: P; kind: K };

const builder =
  <M extends Route['method'], K extends Kind>(method: M, kind: K) =>
  <const P extends string, const O extends RouteOptions>(path: P, options: O): Stated<M, P, K, O> => ({
    ...options,
    method,
    path,
    kind,
  });

export const get = builder('GET', 'json');
export const post = builder('POST', 'json');
export const put = builder('PUT', 'json');
export const del = builder('DELETE', 'json');
export const long = builder('POST', 'long');
export const lines = builder('GET', 'lines');
export const events = builder('GET', 'events');
export const download = builder('GET', 'download');
export const upload = builder('PUT', 'upload');

/** Routes of one noun. Each key is the name of the client's method. */
export interface Api<R extends Readonly<Record<string, Route>> = Readonly<Record<string, Route>>> {
  readonly tag: string;
  readonly routes: R;
}

export const routes = <const R extends Readonly<Record<string, Route>>>(tag: string, rows: R): Api<R> => ({
  tag,
  routes: rows,
});

/** Names of the parameters in a path, in order. */
export type ParameterNames<P extends string> = P extends `${string}:${infer Name}/${infer Rest}`
  ? [Name, ...ParameterNames<`/${Rest}`>]
  : P extends `${string}:${infer Name}`
    ? [Name]
    : [];

export type QueryOf<R> = R extends { query: infer S } ? Value<S> : unknown;
export type BodyOf<R> = R extends { body: infer S } ? Value<S> : unknown;
/** One answer, or one item of the answer. */
type ItemOf<R> = R extends { answer: infer S } ? Value<S> : unknown;
export type AnswerOf<R> = R extends { list: string } ? ItemOf<R>[] : ItemOf<R>;

/** A request as a handler gets it: parsed and checked. */
export interface Call<R extends Route = Route> {
  readonly params: Readonly<Record<ParameterNames<R['path']>[number], string>>;
  readonly query: QueryOf<R>;
  readonly body: R['kind'] extends 'upload' ? Readable | undefined : BodyOf<R>;
  readonly headers: IncomingHttpHeaders;
  /** Aborted when the client goes away or the daemon ends. */
  readonly signal: AbortSignal;
  /** Tells the client of a `long` route what is done. */
  progress(text: string): void;
  /** Runs `action` once the client has the answer and is gone. */
  afterwards(action: () => void): void;
}

/** Events from one number on, or those to come. */
export interface EventsAnswer {
  log: Pick<EventLog, 'since' | 'listen'>;
  since: number | undefined;
}

interface Answers<R> {
  json: AnswerOf<R>;
  long: AnswerOf<R>;
  upload: unknown;
  lines: AsyncIterable<ItemOf<R>>;
  events: EventsAnswer;
  download: Readable | string;
}

type Handler<R extends Route> = (call: Call<R>) => Promise<Answers<R>[R['kind']]> | Answers<R>[R['kind']];

/** What carries the routes of a contract out: one for each, or it does not compile. */
export type Handlers<A extends Api> = { readonly [K in keyof A['routes']]: Handler<A['routes'][K]> };

/** A contract with its handlers. */
export interface Served {
  readonly api: Api;
  readonly handlers: Readonly<Record<string, (call: Call) => unknown>>;
}

export const served = <A extends Api>(api: A, handlers: Handlers<A>): Served => ({ api, handlers }) as Served;
