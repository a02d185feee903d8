/** The client's methods that are made from the routes: what they take, and how they are sent. */
import type { ProgressLine } from '../core/progress.ts';
import type { AnswerOf, BodyOf, ParameterNames, QueryOf, Route } from '../core/route.ts';
import { PolykernelError } from '../sys/errors.ts';
import type { Routes } from './contracts.ts';
import { type Call, json, lines, send, serverSentEvents } from './http.ts';
import type { ClientRoute } from './routes.ts';

export type Progress = (text: string) => void;

/** One string for each parameter of the path that the body does not name. */
type Parameters<Names extends readonly string[], Body> = Names extends readonly [
  infer Name,
  ...infer Rest extends string[],
]
  ? Name extends keyof Body
    ? Parameters<Rest, Body>
    : [name: string, ...Parameters<Rest, Body>]
  : [];

/** The body or the query; it can be left out where all of it can. */
type Input<T> = keyof T extends never ? [] : Record<never, never> extends T ? [input?: T] : [input: T];

type InputOf<R> = R extends { argument: infer Name }
  ? [argument: BodyOf<R>[Name & keyof BodyOf<R>]]
  : R extends { body: unknown }
    ? Input<BodyOf<R>>
    : R extends { query: unknown }
      ? Input<QueryOf<R>>
      : [];

interface Results<R> {
  json: R extends { answer: unknown } ? Promise<AnswerOf<R>> : Promise<void>;
  long: Promise<AnswerOf<R>>;
  lines: AsyncGenerator<AnswerOf<R>>;
  events: AsyncGenerator<AnswerOf<R>>;
}

type Method<R extends Route> = (
  ...given: [
    ...Parameters<ParameterNames<R['path']>, BodyOf<R>>,
    ...InputOf<R>,
    ...(R['kind'] extends 'long' ? [progress?: Progress] : []),
    signal?: AbortSignal,
  ]
) => Results<R>[R['kind'] & keyof Results<R>];

/** Streams of bytes are methods written by hand. */
type Made = {
  [K in keyof Routes]: Routes[K] extends { kind: 'download' | 'upload' } ? never : K;
}[keyof Routes];

/** One method for each route that is no stream of bytes. All reject with PolykernelError. */
export type Calls = { readonly [K in Made]: Method<Routes[K]> };

/** Sends what a method was given. */
export function call(socketPath: string, route: ClientRoute, given: readonly unknown[]): unknown {
  const rest = [...given];
  const names = [...route.path.matchAll(/:(\w+)/g)].map(([, name]) => name!);
  const parameters = new Map(
    names.filter((name) => !route.inBody?.includes(name)).map((name) => [name, rest.shift() as string]),
  );
  const input = route.input === undefined ? undefined : (rest.shift() ?? {});
  const body = route.argument === undefined ? input : { [route.argument]: input };
  const progress = route.kind === 'long' ? (rest.shift() as Progress | undefined) : undefined;
  const sent: Call = {
    method: route.method,
    path: route.path.replaceAll(/:(\w+)/g, (_, name: string) =>
      encodeURIComponent(parameters.get(name) ?? String((body as Record<string, unknown>)[name])),
    ),
    ...(route.input === 'query' ? { query: input as Call['query'] } : { body }),
    signal: rest.shift() as AbortSignal | undefined,
  };
  switch (route.kind) {
    case 'json':
      return answer(socketPath, sent, route.list);
    case 'long':
      return done(socketPath, sent, progress);
    case 'lines':
      return each(lines, socketPath, sent);
    case 'events':
      return each(serverSentEvents, socketPath, sent);
  }
}

async function answer(socketPath: string, sent: Call, list: string | undefined): Promise<unknown> {
  const value = await json<Record<string, unknown>>(socketPath, sent);
  return list === undefined ? value : value[list];
}

async function* each(read: typeof lines, socketPath: string, sent: Call): AsyncGenerator<unknown> {
  yield* read(await send(socketPath, sent));
}

async function done(socketPath: string, sent: Call, progress: Progress = () => {}): Promise<unknown> {
  for await (const line of lines<ProgressLine<unknown>>(await send(socketPath, sent))) {
    if ('progress' in line) progress(line.progress);
    else if ('error' in line) throw PolykernelError.fromJSON(line.error);
    else return line.done;
  }
  throw new PolykernelError('unavailable', 'the daemon ended before the work was done', {
    hint: 'Run the command again.',
  });
}
